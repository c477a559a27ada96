import Tensor

/// Sizes shared by all attention kernels.
///
/// The lanes of a vector are queries: scores are computed as `[keys, 16 queries]`, so that maxima,
/// sums and rescaling of 16 rows need no horizontal step, and a row's operations run in the order
/// of its keys wherever the row stands in its panel. Decoding computes one row with the same
/// chains.
enum AttentionTile {
  /// Query rows of one panel: two vectors of lanes.
  static let rows = 16
  /// Keys between two rescalings of the online softmax, counted from the first key of a range.
  ///
  /// Part of the numerical definition: decoding must cut at the same keys.
  static let keys = 128
  /// Query rows of one tile of the backward pass.
  static let backwardRows = 64
  /// Keys of one tile of the backward pass.
  static let backwardKeys = 64
  /// A task covers whole sequences of at least this many positions together.
  static let taskPositions = 512

  /// Width of a packed row: whole panels of 16 columns.
  static func padded(_ width: Int) -> Int { (width + 15) / 16 * 16 }
}

/// Widths of one attention head, as given and as packed.
struct HeadShape {
  let keyWidth: Int
  let valueWidth: Int
  let keyStride: Int
  let valueStride: Int

  init(keyWidth: Int, valueWidth: Int) {
    self.keyWidth = keyWidth
    self.valueWidth = valueWidth
    keyStride = AttentionTile.padded(keyWidth)
    valueStride = AttentionTile.padded(valueWidth)
  }
}

/// Consecutive sequences and one head: a unit of parallel work.
///
/// Short sequences are taken together so that a task outweighs its start. The cut follows from
/// the lengths alone.
struct AttentionTasks: Sendable {
  let heads: Int
  /// Sequence numbers of each group.
  let groups: [Range<Int>]
  let longest: Int

  init(starts: [Int], heads: Int) {
    self.heads = heads
    var groups = [Range<Int>]()
    var longest = 0
    var first = 0
    for sequence in 0..<max(starts.count - 1, 0) {
      precondition(starts[sequence] <= starts[sequence + 1], "starts must not decrease")
      longest = max(longest, starts[sequence + 1] - starts[sequence])
      if starts[sequence + 1] - starts[first] >= AttentionTile.taskPositions {
        groups.append(first..<sequence + 1)
        first = sequence + 1
      }
    }
    if first < starts.count - 1 { groups.append(first..<starts.count - 1) }
    self.groups = groups
    self.longest = longest
  }

  var count: Int { groups.count * heads }

  func group(_ task: Int) -> Range<Int> { groups[task / heads] }
  func head(_ task: Int) -> Int { task % heads }
}

/// Transposes eight vectors by 24 shuffles; inlined so that nothing goes through memory.
@inline(__always)
func transposeEight(
  _ r0: Lanes, _ r1: Lanes, _ r2: Lanes, _ r3: Lanes, _ r4: Lanes, _ r5: Lanes, _ r6: Lanes,
  _ r7: Lanes
) -> (Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes, Lanes) {
  let (a0, a1) = (interleaveLow(r0, r1), interleaveHigh(r0, r1))
  let (a2, a3) = (interleaveLow(r2, r3), interleaveHigh(r2, r3))
  let (a4, a5) = (interleaveLow(r4, r5), interleaveHigh(r4, r5))
  let (a6, a7) = (interleaveLow(r6, r7), interleaveHigh(r6, r7))
  let (b0, b1) = (pairLow(a0, a2), pairHigh(a0, a2))
  let (b2, b3) = (pairLow(a1, a3), pairHigh(a1, a3))
  let (b4, b5) = (pairLow(a4, a6), pairHigh(a4, a6))
  let (b6, b7) = (pairLow(a5, a7), pairHigh(a5, a7))
  return (
    Lanes(lowHalf: b0.lowHalf, highHalf: b4.lowHalf),
    Lanes(lowHalf: b1.lowHalf, highHalf: b5.lowHalf),
    Lanes(lowHalf: b2.lowHalf, highHalf: b6.lowHalf),
    Lanes(lowHalf: b3.lowHalf, highHalf: b7.lowHalf),
    Lanes(lowHalf: b0.highHalf, highHalf: b4.highHalf),
    Lanes(lowHalf: b1.highHalf, highHalf: b5.highHalf),
    Lanes(lowHalf: b2.highHalf, highHalf: b6.highHalf),
    Lanes(lowHalf: b3.highHalf, highHalf: b7.highHalf)
  )
}

@inline(__always)
private func interleaveLow(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(a[0], b[0], a[1], b[1], a[4], b[4], a[5], b[5])
}

@inline(__always)
private func interleaveHigh(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(a[2], b[2], a[3], b[3], a[6], b[6], a[7], b[7])
}

@inline(__always)
private func pairLow(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(a[0], a[1], b[0], b[1], a[4], a[5], b[4], b[5])
}

@inline(__always)
private func pairHigh(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(a[2], a[3], b[2], b[3], a[6], a[7], b[6], b[7])
}
