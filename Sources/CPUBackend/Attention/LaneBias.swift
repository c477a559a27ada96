import Host
import Tensor

/// Bias of a panel against a range of keys: 16 lanes for every key.
///
/// Lane `r` of panel `p` meets key `m` of the range at `table[(x(p) - m) * step + r]` with
/// `x(p) = origin + ((start + 16 p) >> shift)`, clipped from above at `last`. With `step` 1 the
/// table is the bias by distance itself; with 16 every distance has its own row of lanes; with 0
/// there is one row of zeros: no bias.
struct LaneBias {
  let table: UnsafePointer<Float>
  /// Gradient rows of 16 lanes for every distance; nil when none is wanted.
  var gradient: UnsafeMutablePointer<Float>?
  let step: Int
  let origin: Int
  let start: Int
  let shift: Int
  let last: Int

  /// Zeros for every key and lane.
  static var none: LaneBias {
    LaneBias(table: zeros, gradient: nil, step: 0, origin: 0, start: 0, shift: 0, last: 0)
  }

  /// One panel row; never freed and never written again.
  private nonisolated(unsafe) static let zeros: UnsafePointer<Float> = {
    let row = UnsafeMutableRawPointer.allocate(byteCount: 64, alignment: 64)
    return UnsafePointer(row.initializeMemory(as: Float.self, repeating: 0, count: 16))
  }()

  /// Distance of lane 0 of a panel from key 0 of the range.
  func first(panel: Int) -> Int { origin + ((start + 16 * panel) >> shift) }

  /// The same bias for the keys from `keys` on.
  func advanced(by keys: Int) -> LaneBias {
    LaneBias(
      table: table, gradient: gradient, step: step, origin: origin - keys, start: start,
      shift: shift, last: last)
  }
}

/// Which keys of a range the rows of a tile may not see.
enum LaneMask {
  /// Every row sees every key.
  case none
  /// Row `r` sees keys `0...offset + r`.
  case causal(offset: Int)
  /// Rows below `rows` see only keys below `keys`; the others see all.
  case half(rows: Int, keys: Int)
  /// One panel: lanes of minus infinity hide the first `keys` keys, `[keys, 16]`; all lanes see the
  /// others. There is no bias.
  case lanes(UnsafePointer<Float>, keys: Int)

  /// How many of the first `count` keys some row of the panel sees.
  func visible(panel: Int, count: Int) -> Int {
    switch self {
    case .none, .lanes: count
    case .causal(let offset): max(0, min(count, offset + 16 * panel + 16))
    case .half(let rows, let keys): rows - 16 * panel >= 16 ? max(0, min(count, keys)) : count
    }
  }

  /// First key that some lane of the panel must not see, the number of lanes it is hidden from,
  /// and by how much that number grows with every key.
  func hidden(panel: Int) -> (key: Int, lanes: Int, growth: Int) {
    switch self {
    case .none, .lanes: (Int.max, 0, 0)
    case .causal(let offset): hiddenCausally(offset + 16 * panel + 1)
    case .half(let rows, let keys):
      rows - 16 * panel > 0 ? (max(0, keys), rows - 16 * panel, 0) : (Int.max, 0, 0)
    }
  }

  private func hiddenCausally(_ key: Int) -> (key: Int, lanes: Int, growth: Int) {
    key >= 0 ? (key, 1, 1) : (0, 1 - key, 1)
  }

  /// The same mask for the keys from `count` on.
  func advanced(by count: Int) -> LaneMask {
    switch self {
    case .none: .none
    case .causal(let offset): .causal(offset: offset - count)
    case .half(let rows, let keys): .half(rows: rows, keys: keys - count)
    case .lanes(let table, let keys): .lanes(table + 16 * count, keys: max(0, keys - count))
    }
  }
}

/// Replaces the scores of the first `lanes` lanes by minus infinity.
@inline(__always)
func hide(_ scores: WideLanes, lanes: Int) -> WideLanes {
  // As floats: comparisons of whole numbers compile to scalar code.
  let numbers = WideLanes(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
  return scores.replacing(with: -.infinity, where: numbers .< Float(lanes))
}

/// Adds the bias to the scores of a panel and hides what the mask hides.
///
/// - Parameters:
///   - stride: Floats from the scores of one key to those of the next.
///   - before: Running maxima of the rows.
/// - Returns: The maxima including these scores.
func addBias(
  _ scores: UnsafeMutablePointer<Float>, stride: Int, count: Int, panel: Int, bias: LaneBias,
  mask: LaneMask, maximum before: WideLanes
) -> WideLanes {
  if case .lanes(let table, let keys) = mask {
    return hideLanes(
      scores, stride: stride, count: count, table: table, keys: keys, maximum: before)
  }
  var peak = before
  let table = bias.table
  let first = bias.first(panel: panel)
  let (hiddenKey, hiddenLanes, growth) = mask.hidden(panel: panel)
  let open = min(count, hiddenKey)
  for key in 0..<open {
    let score =
      loadWide(scores + stride * key)
      + loadWide(table + bias.step * min(first - key, bias.last))
    store(score, scores + stride * key)
    peak = maximum(peak, score)
  }
  var lanes = hiddenLanes
  for key in open..<count {
    let score =
      loadWide(scores + stride * key)
      + loadWide(table + bias.step * min(first - key, bias.last))
    let hidden = hide(score, lanes: lanes)
    store(hidden, scores + stride * key)
    peak = maximum(peak, hidden)
    lanes += growth
  }
  return peak
}

/// Hides the lanes of a table and returns the maxima including these scores.
private func hideLanes(
  _ scores: UnsafeMutablePointer<Float>, stride: Int, count: Int, table: UnsafePointer<Float>,
  keys: Int, maximum before: WideLanes
) -> WideLanes {
  var peak = before
  let masked = min(count, keys)
  for key in 0..<masked {
    let isHidden = loadWide(table + 16 * key) .< 0
    let score = loadWide(scores + stride * key).replacing(with: -.infinity, where: isHidden)
    store(score, scores + stride * key)
    peak = maximum(peak, score)
  }
  for key in masked..<count { peak = maximum(peak, loadWide(scores + stride * key)) }
  return peak
}

/// Bias table by distance with room for every lane: 16 floats before distance 0, 16 past the end.
///
/// - Parameter offset: Added to every entry: the logarithm of the multiplicity of a key row.
func fillBiasTable(
  _ table: UnsafeMutablePointer<Float>, _ bias: UnsafePointer<Float>, count: Int, offset: Float
) {
  for lane in 0..<16 {
    table[lane] = 0
    table[16 + count + lane] = bias[count - 1] + offset
  }
  for delta in 0..<count { table[16 + delta] = bias[delta] + offset }
}

/// Adds a gradient table `[16 + count, 16]`, distances from -16 on, to the bias gradient.
///
/// Lane `r` of distance `x` belongs to `bias[x + ((phase + r) >> shift) - (phase >> shift)]`, clipped
/// at the last entry; entries of negative distance were masked.
func foldBiasGradient(
  _ destination: UnsafeMutablePointer<Float>, _ table: UnsafePointer<Float>, count: Int,
  shift: Int = 0, phase: Int = 0
) {
  for distance in -15..<count {
    for lane in 0..<16 {
      let delta = distance + ((phase + lane) >> shift) - (phase >> shift)
      if delta >= 0 {
        destination[min(delta, count - 1)] += table[16 * (16 + distance) + lane]
      }
    }
  }
}
