import Host
import Tensor

extension HierarchicalOperator {
  func makeState(_ widths: HeadWidths, layer: Int, draw: AttentionDraw) -> any AttentionState {
    HierarchicalState(self, widths)
  }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    forEachStep(tensors, states) { row, state in
      guard let state = state as? HierarchicalState else {
        preconditionFailure("state of another kind")
      }
      state.step(o: row.o, q: row.q, k: row.k, v: row.v, bias: row.bias ?? zeroBias, scale: scale)
    }
  }
}

/// What one stream remembers of one layer, O(blockSize · log L).
///
/// Per level and head it holds the keys and values of two blocks and, with coarse queries, the
/// running softmax of the level and all above. The floats of a copy are copied by its next step,
/// which is how several samples fork from one prompt.
final class HierarchicalState: AttentionState {
  private let heads: Int
  private let blockSize: Int
  private let fineQuery: Bool
  /// Positions seen so far.
  private var length = 0
  private let shape: HeadShape
  /// Levels one after another; a new one is appended when the text reaches it.
  private var storage = [Float]()

  init(_ attention: HierarchicalOperator, _ widths: HeadWidths) {
    heads = attention.heads
    blockSize = attention.blockSize
    fineQuery = attention.fineQuery
    shape = HeadShape(keyWidth: widths.keys, valueWidth: widths.values)
  }

  private init(_ other: HierarchicalState) {
    heads = other.heads
    blockSize = other.blockSize
    fineQuery = other.fineQuery
    length = other.length
    shape = other.shape
    storage = other.storage
  }

  func copy() -> any AttentionState { HierarchicalState(self) }

  var bytes: Int { storage.count * MemoryLayout<Float>.stride }

  /// Appends one position and attends from it; the bits of the full forward pass.
  ///
  /// - Parameters:
  ///   - o: Output, `[1, H·E]`.
  ///   - q: Query, `[1, H·D]`.
  ///   - k: Key, `[1, H·D]`.
  ///   - v: Value, `[1, H·E]`.
  ///   - bias: `[H, 2·blockSize]`, the same in every step.
  ///   - scale: Factor of the logits, the same in every step.
  func step(o: View, q: View, k: View, v: View, bias: View, scale: Float) {
    precondition(
      q.columns == heads * shape.keyWidth && k.columns == q.columns
        && v.columns == heads * shape.valueWidth && o.columns == v.columns,
      "widths of q, k, v or o do not fit \(heads) heads")
    precondition(bias.rows == heads && bias.columns == 2 * blockSize, "shape of the bias")
    let layout = HierarchicalStateLayout(shape, heads: heads, blockSize: blockSize)
    let position = length
    let top = HierarchicalLevels.topLevel(block: position / blockSize)
    let isNew = storage.count < (top + 1) * layout.levelFloats
    if isNew {
      storage.append(contentsOf: repeatElement(0, count: layout.levelFloats))
    }
    length += 1
    let fineQuery = fineQuery
    let shape = shape
    storage.withUnsafeMutableBufferPointer { floats in
      guard let base = floats.baseAddress else { return }
      Scratch.lend(carving: { AttentionRow(shape, &$0) }) { row in
        var row = row
        for head in 0..<layout.heads {
          let own = HierarchicalHeadState(layout, base: base, head: head, top: top)
          if isNew && top > 0 { own.activate(top) }
          own.push(
            position, key: k.base + head * shape.keyWidth, value: v.base + head * shape.valueWidth)
          row.reset(query: q.base + head * shape.keyWidth, scale: scale)
          own.attend(
            &row, position, bias: bias.base + head * bias.stride, fineQuery: fineQuery)
          row.finish(o.base + head * shape.valueWidth)
        }
      }
    }
  }
}

/// Where things lie in the floats of a state.
private struct HierarchicalStateLayout {
  let shape: HeadShape
  let heads: Int
  let blockSize: Int
  /// Offsets inside one head of one level; keys come first.
  let values: Int
  let partial: Int
  let headFloats: Int
  let levelFloats: Int

  init(_ shape: HeadShape, heads: Int, blockSize: Int) {
    self.shape = shape
    self.heads = heads
    self.blockSize = blockSize
    values = 2 * blockSize * shape.keyStride
    partial = values + 2 * blockSize * shape.valueStride
    headFloats = partial + shape.valueStride + 2
    levelFloats = heads * headFloats
  }
}

/// The rows of one head that are remembered.
///
/// Level 0 keeps the block before at rows 0..<blockSize and its own block after it, side by side
/// as the forward pass sees them. Levels above keep block c in half c mod 2.
private struct HierarchicalHeadState {
  private let layout: HierarchicalStateLayout
  private let base: UnsafeMutablePointer<Float>
  private let top: Int

  init(_ layout: HierarchicalStateLayout, base: UnsafeMutablePointer<Float>, head: Int, top: Int) {
    self.layout = layout
    self.base = base + head * layout.headFloats
    self.top = top
  }

  private func keys(_ level: Int, row: Int) -> UnsafeMutablePointer<Float> {
    base + level * layout.levelFloats + row * layout.shape.keyStride
  }

  private func values(_ level: Int, row: Int) -> UnsafeMutablePointer<Float> {
    base + level * layout.levelFloats + layout.values + row * layout.shape.valueStride
  }

  private func slot(_ level: Int, _ row: Int) -> Int {
    let size = layout.blockSize
    return level == 0
      ? (row < size ? row : size + row % size) : row / size % 2 * size + row % size
  }

  /// Builds block 0 of a level from the two blocks the level below holds at this moment.
  func activate(_ level: Int) {
    for row in 0..<layout.blockSize { average(level, row: row, below: 2 * row) }
  }

  /// Takes the key and value of a position and finishes the groups it completes.
  func push(_ position: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>) {
    let size = layout.blockSize
    let shape = layout.shape
    if position % size == 0 && position > size {
      keys(0, row: 0).update(from: keys(0, row: size), count: size * shape.keyStride)
      values(0, row: 0).update(from: values(0, row: size), count: size * shape.valueStride)
    }
    let own = slot(0, position)
    keys(0, row: own).update(from: key, count: shape.keyWidth)
    values(0, row: own).update(from: value, count: shape.valueWidth)
    var row = position
    var level = 0
    // The block size is even: both children are in the same half.
    while row % 2 == 1 && level < top {
      average(level + 1, row: slot(level + 1, row / 2), below: slot(level, row) - 1)
      row /= 2
      level += 1
    }
  }

  private func average(_ level: Int, row: Int, below: Int) {
    let shape = layout.shape
    mean(keys(level, row: row), keys(level - 1, row: below), shape.keyStride)
    mean(values(level, row: row), values(level - 1, row: below), shape.valueStride)
  }

  private func mean(
    _ destination: UnsafeMutablePointer<Float>, _ pair: UnsafePointer<Float>, _ stride: Int
  ) {
    for column in 0..<stride {
      destination[column] = (pair[column] + pair[stride + column]) * 0.5
    }
  }

  /// All levels that the position sees, from the top down.
  func attend(
    _ row: inout AttentionRow, _ position: Int, bias: UnsafePointer<Float>, fineQuery: Bool
  ) {
    // A group asks at its first token; the other tokens take the result of their parents.
    let asking = fineQuery ? top : min(top, position == 0 ? 0 : position.trailingZeroBitCount)
    if asking < top { restore(&row, asking + 1) }
    for level in (1..<asking + 1).reversed() {
      attend(&row, position, level, bias)
      if !fineQuery { save(row, level) }
    }
    let size = layout.blockSize
    let start = max(0, position / size - 1) * size
    row.attend(
      keys: keys(0, row: 0), keyStride: layout.shape.keyStride, valueRows: values(0, row: 0),
      valueStride: layout.shape.valueStride, valuesArePacked: true, count: position - start + 1,
      bias: bias, distance: position - start, last: 2 * size - 1,
      offset: HierarchicalLevels.multiplicity(0))
  }

  private func attend(
    _ row: inout AttentionRow, _ position: Int, _ level: Int, _ bias: UnsafePointer<Float>
  ) {
    let size = layout.blockSize
    let block = position / size
    let left = (block >> level) - 1
    let start = slot(level, left * size)
    let isSecondHalf = block >> (level - 1) & 1 == 1
    row.attend(
      keys: keys(level, row: start), keyStride: layout.shape.keyStride,
      valueRows: values(level, row: start), valueStride: layout.shape.valueStride,
      valuesArePacked: true, count: isSecondHalf ? size : size / 2, bias: bias,
      distance: (position >> level) - left * size, last: 2 * size - 1,
      offset: HierarchicalLevels.multiplicity(level))
  }

  private func save(_ row: AttentionRow, _ level: Int) {
    let stride = layout.shape.valueStride
    let partial = base + level * layout.levelFloats + layout.partial
    partial.update(from: row.values, count: stride)
    partial[stride] = row.maximum
    partial[stride + 1] = row.sum
  }

  private func restore(_ row: inout AttentionRow, _ level: Int) {
    let stride = layout.shape.valueStride
    let partial = base + level * layout.levelFloats + layout.partial
    row.values.update(from: partial, count: stride)
    row.maximum = partial[stride]
    row.sum = partial[stride + 1]
  }
}
