import Tensor

/// Packed queries (times the scale), keys and values of a row or a column; or their gradients.
struct CombinerLine {
  let shape: HeadShape
  let queries: UnsafeMutablePointer<Float>  // [n, padded D]
  let keys: UnsafeMutablePointer<Float>  // [n, padded D]
  let values: UnsafeMutablePointer<Float>  // [n, padded E]

  init(
    _ shape: HeadShape, queries: UnsafeMutablePointer<Float>, keys: UnsafeMutablePointer<Float>,
    values: UnsafeMutablePointer<Float>
  ) {
    self.shape = shape
    self.queries = queries
    self.keys = keys
    self.values = values
  }

  init(_ shape: HeadShape, longest: Int, _ scratch: inout Scratch) {
    self.init(
      shape, queries: scratch.take(longest * shape.keyStride),
      keys: scratch.take(longest * shape.keyStride),
      values: scratch.take(longest * shape.valueStride))
  }

  /// Gathers rows from `from` on, `step` rows apart; a negative step runs against the positions.
  func gather(_ all: CombinerLine, from position: Int, step: Int, count: Int) {
    for row in 0..<count {
      let from = position + row * step
      copyPacked(
        queries + row * shape.keyStride, all.queries + from * shape.keyStride,
        count: shape.keyStride)
      copyPacked(
        keys + row * shape.keyStride, all.keys + from * shape.keyStride, count: shape.keyStride)
      copyPacked(
        values + row * shape.valueStride, all.values + from * shape.valueStride,
        count: shape.valueStride)
    }
  }

  /// Adds rows to those they were gathered from.
  func scatter(to all: CombinerLine, from position: Int, step: Int, count: Int) {
    for row in 0..<count {
      let to = position + row * step
      addPacked(
        all.queries + to * shape.keyStride, queries + row * shape.keyStride,
        count: shape.keyStride)
      addPacked(
        all.keys + to * shape.keyStride, keys + row * shape.keyStride, count: shape.keyStride)
      addPacked(
        all.values + to * shape.valueStride, values + row * shape.valueStride,
        count: shape.valueStride)
    }
  }

  func clear(count: Int) {
    queries.update(repeating: 0, count: count * shape.keyStride)
    keys.update(repeating: 0, count: count * shape.keyStride)
    values.update(repeating: 0, count: count * shape.valueStride)
  }

  /// Its first `count` keys and values for a backward tile.
  func range(_ gradients: CombinerLine, count: Int) -> AttentionBackwardTile.Range {
    AttentionBackwardTile.Range(
      count: count, keys: keys, values: values, keyGradients: gradients.keys,
      valueGradients: gradients.values)
  }

  /// The line that begins `rows` further on.
  func advanced(by rows: Int) -> CombinerLine {
    CombinerLine(
      shape, queries: queries + rows * shape.keyStride, keys: keys + rows * shape.keyStride,
      values: values + rows * shape.valueStride)
  }
}
