import Deterministic
package import Tensor

/// Causal hierarchical attention (Zhu and Soricut, 2021, arXiv 2107.11906), any length.
///
/// Level l holds means of 2^l consecutive keys and values. A query meets its own block of
/// `blockSize` keys causally and the block before in full; at each level above, the block left of
/// its own, or the first half of it where the level below has covered the rest. One softmax runs
/// over all levels, every key row counted with its multiplicity:
///
///     s(i, l, J) = scale · <q, K_l[J]> + bias[h][I - J] + l ln 2,   I = i >> l
///
/// Two departures from the published code: the maximum is each row's own, where theirs is global
/// and thereby looks into the future, and any length works without padding. A token's output does
/// not depend on the length of its sequence.
///
/// Saved for the backward pass: o and lse. Memory is linear in the length.
extension CPUKernels: HierarchicalAttentionKernels {
  package func hierarchicalAttentionForward(
    o: View, lse: View, q: View, k: View, v: View, bias: View, starts: [Int], heads: Int,
    scale: Float, blockSize: Int, fineQuery: Bool
  ) {
    let shape = checkedShape(o, lse, q, k, v, starts: starts, heads: heads)
    checkHierarchy(bias, heads: heads, blockSize: blockSize)
    let tasks = AttentionTasks(starts: starts, heads: heads)
    let longest = HierarchicalLevels(length: tasks.longest, blockSize: blockSize)
    parallelFor(tasks.count) { task in
      let head = tasks.head(task)
      Scratch.lend(carving: { scratch in
        let table = HierarchicalBias(
          bias.base + head * bias.stride, longest, fineQuery: fineQuery, gradient: false, &scratch)
        return HierarchicalForward(shape, longest, table, &scratch)
      }) { pass in
        pass.bias.fill()
        for sequence in tasks.group(task) {
          let first = starts[sequence]
          let length = starts[sequence + 1] - first
          if length == 0 { continue }
          let rows = HeadRows(first: first, head: head)
          pass.run(
            o: rows.values(o, shape), lse: lse.base + head * lse.stride + first,
            q: rows.keys(q, shape), k: rows.keys(k, shape), v: rows.values(v, shape),
            HierarchicalLevels(length: length, blockSize: blockSize), scale: scale,
            fineQuery: fineQuery)
        }
      }
    }
  }

  package func hierarchicalAttentionBackward(
    dq: View, dk: View, dv: View, dBias: View, dO: View, o: View, lse: View, q: View, k: View,
    v: View, bias: View, starts: [Int], heads: Int, scale: Float, blockSize: Int, fineQuery: Bool
  ) {
    let shape = checkedShape(o, lse, q, k, v, starts: starts, heads: heads)
    checkHierarchy(bias, heads: heads, blockSize: blockSize)
    let tasks = AttentionTasks(starts: starts, heads: heads)
    let longest = HierarchicalLevels(length: tasks.longest, blockSize: blockSize)
    let width = bias.columns
    Scratch.lend(carving: { PartialSums(count: tasks.count, width: width, &$0) }) { partials in
      partials.clear()
      parallelFor(tasks.count) { task in
        let head = tasks.head(task)
        Scratch.lend(carving: { scratch in
          let table = HierarchicalBias(
            bias.base + head * bias.stride, longest, fineQuery: fineQuery, gradient: true, &scratch)
          return HierarchicalBackward(
            shape, longest, table, partials[task], fineQuery: fineQuery, &scratch)
        }) { pass in
          pass.bias.fill()
          for sequence in tasks.group(task) {
            let first = starts[sequence]
            let length = starts[sequence + 1] - first
            if length == 0 { continue }
            let rows = HeadRows(first: first, head: head)
            pass.run(
              HierarchicalGradientRows(
                q: rows.keys(q, shape), k: rows.keys(k, shape), v: rows.values(v, shape),
                dO: rows.values(dO, shape), o: rows.values(o, shape),
                lse: lse.base + head * lse.stride + first, dq: rows.keys(dq, shape),
                dk: rows.keys(dk, shape), dv: rows.values(dv, shape), scale: scale),
              HierarchicalLevels(length: length, blockSize: blockSize))
          }
          pass.bias.finishGradient(partials[task])
        }
      }
      partials.add(to: dBias, heads: heads)
    }
  }

  private func checkHierarchy(_ bias: View, heads: Int, blockSize: Int) {
    precondition(blockSize >= 2 && blockSize % 2 == 0, "block size \(blockSize) must be even")
    precondition(
      bias.rows == heads && bias.columns == 2 * blockSize,
      "bias [\(bias.rows), \(bias.columns)] instead of [\(heads), \(2 * blockSize)]")
  }
}

/// Blocks and rows of every level for one length.
struct HierarchicalLevels {
  let length: Int
  let blockSize: Int
  let blocks: Int
  /// Highest level any query uses.
  let top: Int

  init(length: Int, blockSize: Int) {
    self.length = length
    self.blockSize = blockSize
    blocks = (length + blockSize - 1) / blockSize
    top = blocks < 2 ? 0 : Self.floorLog2(blocks - 1)
  }

  /// Left blocks in use at a level above 0; all their groups are complete.
  func leftBlocks(_ level: Int) -> Int { (blocks - 1) >> level }

  /// Key rows kept at a level.
  func keyRows(_ level: Int) -> Int { level == 0 ? length : leftBlocks(level) * blockSize }

  /// Query rows of a level; the last may stand for fewer than 2^level tokens.
  func queryRows(_ level: Int) -> Int { ((length - 1) >> level) + 1 }

  /// Highest level that tokens of a block use.
  static func topLevel(block: Int) -> Int { block < 1 ? 0 : floorLog2(block) }

  /// Key rows of the left block that tokens of `block` see at a level above 0.
  func visibleKeys(block: Int, level: Int) -> Int {
    block >> (level - 1) & 1 == 1 ? blockSize : blockSize / 2
  }

  /// Logit of a key row's multiplicity, `level · ln 2`.
  static func multiplicity(_ level: Int) -> Float { Float(level) * 0.693_147_18 }

  private static func floorLog2(_ value: Int) -> Int {
    Int.bitWidth - 1 - value.leadingZeroBitCount
  }

  /// Positions the backward pass takes at a time: a block of level `lowTop`.
  ///
  /// So few that what they touch at the levels up to that one stays in the second cache.
  var segment: Int { blockSize << lowTop }

  /// Highest level that a segment holds whole blocks of, whatever the length.
  var lowTop: Int { Self.floorLog2(max(1, 128 / blockSize)) }

  /// Levels above 0 with blocks inside a segment.
  var lowLevels: Range<Int> { 1..<min(lowTop, top) + 1 }

  /// Levels above those.
  var highLevels: Range<Int> { lowLevels.upperBound..<top + 1 }

  /// Positions of a segment.
  func range(segment index: Int) -> Range<Int> {
    index * segment..<min(length, (index + 1) * segment)
  }

  /// First row of a level where those of a segment lie one after another.
  func slabOffset(_ level: Int) -> Int { 2 * segment - (2 * segment >> level) }

  /// Rows of a segment at all its levels.
  var slabRows: Int { slabOffset(lowTop + 1) }

  /// First key row of a level where those above a segment's lie one after another.
  func highOffset(_ level: Int) -> Int {
    highLevels.prefix { $0 < level }.reduce(0) { $0 + keyRows($1) }
  }

  /// First query row of a level where those above a segment's lie one after another.
  func highQueryOffset(_ level: Int) -> Int {
    highLevels.prefix { $0 < level }.reduce(0) { $0 + queryRows($1) }
  }

  /// Key rows of a level that positions `range` complete.
  func completed(_ level: Int, by range: Range<Int>) -> Range<Int> {
    min(range.lowerBound >> level, keyRows(level))..<min(range.upperBound >> level, keyRows(level))
  }
}
