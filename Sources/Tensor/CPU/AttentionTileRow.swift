/// One query row and its running softmax, for decoding.
///
/// Repeats the operations of one lane of `AttentionPanel` in the same order, here with keys as
/// lanes, so that a decoded position has the bits of the full forward pass.
struct AttentionRow {
  let shape: HeadShape
  var maximum: Float = -.infinity
  var sum: Float = 0
  let query: UnsafeMutablePointer<Float>  // [D], times the scale
  let values: UnsafeMutablePointer<Float>  // [padded E]
  private let scores: UnsafeMutablePointer<Float>  // [keys]
  private let keyPanel: UnsafeMutablePointer<Float>  // [D, 16]
  private let packedValues: UnsafeMutablePointer<Float>  // [keys, padded E], for odd widths

  static func floats(_ shape: HeadShape) -> Int {
    Scratch.rounded(shape.keyWidth) + shape.valueStride + AttentionTile.keys + shape.keyWidth * 16
      + AttentionTile.keys * shape.valueStride
  }

  init(_ shape: HeadShape, _ scratch: inout Scratch) {
    self.shape = shape
    query = scratch.take(shape.keyWidth)
    values = scratch.take(shape.valueStride)
    scores = scratch.take(AttentionTile.keys)
    keyPanel = scratch.take(shape.keyWidth * 16)
    packedValues = scratch.take(AttentionTile.keys * shape.valueStride)
  }

  /// Takes a query and starts from nothing.
  mutating func reset(query source: UnsafePointer<Float>, scale: Float) {
    for column in 0..<shape.keyWidth { query[column] = source[column] * scale }
    maximum = -.infinity
    sum = 0
    values.update(repeating: 0, count: shape.valueStride)
  }

  /// Attends to `count` keys, cut at multiples of `AttentionTile.keys`.
  ///
  /// - Parameters:
  ///   - keyStride: Floats from one key to the next.
  ///   - valueStride: Floats from one value to the next.
  ///   - valuesArePacked: Whether values are padded with zeros to whole panels.
  ///   - bias: Table by distance, or nil; key `m` takes entry `min(distance - m, last)`.
  ///   - offset: Added to the bias: the logarithm of the multiplicity of a key row.
  mutating func attend(
    keys: UnsafePointer<Float>, keyStride: Int, valueRows: UnsafePointer<Float>, valueStride: Int,
    valuesArePacked: Bool, count: Int, bias: UnsafePointer<Float>?, distance: Int, last: Int,
    offset: Float
  ) {
    var start = 0
    while start < count {
      let cut = min(AttentionTile.keys, count - start)
      score(keys + start * keyStride, keyStride, count: cut)
      if let bias {
        for key in 0..<cut {
          scores[key] += bias[min(distance - start - key, last)] + offset
        }
      }
      accumulate(
        valueRows + start * valueStride, valueStride, isPacked: valuesArePacked, count: cut)
      start += cut
    }
  }

  private func score(_ keys: UnsafePointer<Float>, _ keyStride: Int, count: Int) {
    var key = 0
    while key < count {
      packTransposed(
        keyPanel, keys + key * keyStride, sourceStride: keyStride, rows: min(16, count - key),
        width: shape.keyWidth)
      tileProduct(
        TileResult(base: scores + key, panelStride: 0, rowStride: 0),
        TileLeft(base: query, rowStride: 0, stepStride: 1),
        TileRight(base: keyPanel, panelStride: 0, stepStride: 16), rows: 1, panels: 1,
        depth: shape.keyWidth, accumulate: false)
      key += 16
    }
  }

  private mutating func accumulate(
    _ valueRows: UnsafePointer<Float>, _ valueStride: Int, isPacked: Bool, count: Int
  ) {
    var m = maximum
    for key in 0..<count where scores[key] > m { m = scores[key] }
    let alpha = exponential(maximum - m)
    maximum = m
    var key = 0
    while key < count {
      store(exponential(load(scores + key) - m), scores + key)
      key += 8
    }
    var z = sum * alpha
    for key in 0..<count { z += scores[key] }
    sum = z
    for column in 0..<shape.valueStride { values[column] *= alpha }
    var rows = valueRows
    var stride = valueStride
    if !isPacked && shape.valueStride != shape.valueWidth {
      packRows(
        packedValues, stride: shape.valueStride, valueRows, sourceStride: valueStride, rows: count,
        width: shape.valueWidth)
      rows = UnsafePointer(packedValues)
      stride = shape.valueStride
    }
    tileProduct(
      TileResult(base: values, panelStride: 16, rowStride: 0),
      TileLeft(base: scores, rowStride: 0, stepStride: 1),
      TileRight(base: rows, panelStride: 16, stepStride: stride), rows: 1,
      panels: shape.valueStride / 16, depth: count, accumulate: true)
  }

  /// Writes `y / z`.
  func finish(_ o: UnsafeMutablePointer<Float>) {
    writeQuotient(o, values, divisor: sum, width: shape.valueWidth)
  }
}
