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
    let floats =
      HierarchicalBias.floats(longest, fineQuery: fineQuery, gradient: false)
      + HierarchicalForward.floats(shape, longest)
    parallelFor(tasks.count) { task in
      Scratch.with(count: floats) { scratch in
        let head = tasks.head(task)
        let table = HierarchicalBias(
          bias.base + head * bias.stride, longest, fineQuery: fineQuery, gradient: false, &scratch)
        let pass = HierarchicalForward(shape, longest, table, &scratch)
        for sequence in tasks.group(task) {
          let first = starts[sequence]
          let length = starts[sequence + 1] - first
          if length == 0 { continue }
          pass.run(
            o, lse, q, k, v, head: head, first: first,
            levels: HierarchicalLevels(length: length, blockSize: blockSize), scale: scale,
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
    let floats =
      HierarchicalBias.floats(longest, fineQuery: fineQuery, gradient: true)
      + AttentionGradients.floats(shape, longest: longest.length, keyRows: longest.keyRows)
      + AttentionBackwardTile.floats(shape)
      + (fineQuery ? 0 : CoarseGradients.floats(shape, longest))
    Scratch.with(count: Scratch.rounded(tasks.count * bias.columns)) { outer in
      let partials = PartialSums(count: tasks.count, width: bias.columns, &outer)
      parallelFor(tasks.count) { task in
        Scratch.with(count: floats) { scratch in
          let head = tasks.head(task)
          let table = HierarchicalBias(
            bias.base + head * bias.stride, longest, fineQuery: fineQuery, gradient: true, &scratch)
          let pass = HierarchicalBackward(
            rows: AttentionGradients(
              shape, longest: longest.length, keyRows: longest.keyRows, &scratch),
            coarse: fineQuery ? nil : CoarseGradients(shape, longest, &scratch),
            tile: AttentionBackwardTile(shape, &scratch), bias: table,
            biasGradient: partials[task])
          for sequence in tasks.group(task) {
            let first = starts[sequence]
            let levels = HierarchicalLevels(
              length: starts[sequence + 1] - first, blockSize: blockSize)
            if levels.length == 0 { continue }
            for start in Swift.stride(from: 0, to: levels.length, by: levels.segment) {
              let range = start..<min(levels.length, start + levels.segment)
              pass.rows.pack(
                q, k, v, dO, o, lse, head: head, first: first, range: range, scale: scale)
              pass.run(levels, range, fineQuery: fineQuery)
            }
            pass.finish(levels)
            pass.rows.write(
              dq, dk, dv, head: head, first: first, length: levels.length, scale: scale)
          }
          table.finishGradient(partials[task])
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

  /// First row of a level where all levels lie one after another.
  func offset(_ level: Int) -> Int { (0..<level).reduce(0) { $0 + keyRows($1) } }

  /// Key rows of all levels, less than twice the length.
  var keyRows: Int { length > 0 ? offset(top + 1) : 0 }

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

  /// Positions taken at a time, whole blocks.
  ///
  /// So few that what they touch at all levels stays in the second cache between its uses. The
  /// order of a row's sums does not depend on it.
  var segment: Int { blockSize * max(1, 256 / blockSize) }

  /// First query row of a level where all levels above 0 lie one after another.
  func queryOffset(_ level: Int) -> Int { (1..<level).reduce(0) { $0 + queryRows($1) } }

  /// Query rows of all levels above 0, about the length.
  var coarseQueryRows: Int { queryOffset(top + 1) }

  /// Key rows of a level that positions `range` complete.
  func completed(_ level: Int, by range: Range<Int>) -> Range<Int> {
    min(range.lowerBound >> level, keyRows(level))..<min(range.upperBound >> level, keyRows(level))
  }

  /// Means of neighbouring rows, level by level: `row_l[J] = (row_{l-1}[2J] + row_{l-1}[2J+1]) / 2`.
  ///
  /// - Parameter range: Positions that have just come; all before them are there.
  func extendPyramid(_ rows: UnsafeMutablePointer<Float>, stride: Int, by range: Range<Int>) {
    var below = rows
    for level in 1..<top + 1 {
      let above = below + keyRows(level - 1) * stride
      for row in completed(level, by: range) {
        let left = below + 2 * row * stride
        var column = 0
        while column < stride {
          let mean = (load(left + column) + load(left + stride + column)) * 0.5
          store(mean, above + row * stride + column)
          column += 8
        }
      }
      below = above
    }
  }

  /// Adjoint of the pyramid: hands half of each row's gradient to either child.
  func spreadGradients(_ rows: UnsafeMutablePointer<Float>, stride: Int) {
    for level in (1..<top + 1).reversed() {
      let above = rows + offset(level) * stride
      let below = rows + offset(level - 1) * stride
      for row in 0..<keyRows(level) {
        let left = below + 2 * row * stride
        var column = 0
        while column < stride {
          let half = load(above + row * stride + column) * 0.5
          store(load(left + column) + half, left + column)
          store(load(left + stride + column) + half, left + stride + column)
          column += 8
        }
      }
    }
  }
}
