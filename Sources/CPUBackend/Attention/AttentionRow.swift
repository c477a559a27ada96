import Host
import Tensor

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

  init(_ shape: HeadShape, _ scratch: inout Scratch) {
    self.shape = shape
    query = scratch.take(shape.keyWidth)
    values = scratch.take(shape.valueStride)
    scores = scratch.take(AttentionTile.keys)
    keyPanel = scratch.take(shape.keyWidth * 16)
    packedValues = scratch.take(AttentionTile.keys * shape.valueStride)
  }

  /// Sets the query and starts from nothing.
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
    for start in stride(from: 0, to: count, by: AttentionTile.keys) {
      let cut = min(AttentionTile.keys, count - start)
      for key in stride(from: 0, to: cut, by: 16) {
        score(keys + (start + key) * keyStride, keyStride, at: key, count: min(16, cut - key))
      }
      weigh(cut, bias: bias, distance: distance - start, last: last, offset: offset)
      add(
        valueRows + start * valueStride, valueStride, isPacked: valuesArePacked, at: 0, count: cut)
    }
  }

  /// Scores up to 16 keys as keys `key...` of the tile, a multiple of 16.
  func score(_ keys: UnsafePointer<Float>, _ keyStride: Int, at key: Int, count: Int) {
    if count == 16 && shape.keyWidth % 8 == 0 {
      sixteenDots(scores + key, query, keys, keyStride: keyStride, width: shape.keyWidth)
      return
    }
    packTransposed(
      keyPanel, keys, sourceStride: keyStride, rows: count, width: shape.keyWidth)
    tileProduct(
      TileC(base: scores + key, panelStride: 0, rowStride: 0),
      TileA(base: query, rowStride: 0, kStride: 1),
      TileB(base: keyPanel, panelStride: 0, kStride: 16), rows: 1, panels: 1,
      k: shape.keyWidth, accumulate: false)
  }

  /// Turns the scores of a tile into weights and brings what was there to the new maximum.
  mutating func weigh(
    _ count: Int, bias: UnsafePointer<Float>?, distance: Int, last: Int, offset: Float
  ) {
    if let bias {
      for key in 0..<count { scores[key] += bias[min(distance - key, last)] + offset }
    }
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
  }

  /// Adds the weighted values of keys `key..<key + count` of the tile, which come in their order.
  func add(
    _ valueRows: UnsafePointer<Float>, _ valueStride: Int, isPacked: Bool, at key: Int, count: Int
  ) {
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
      TileC(base: values, panelStride: 16, rowStride: 0),
      TileA(base: scores + key, rowStride: 0, kStride: 1),
      TileB(base: rows, panelStride: 16, kStride: stride), rows: 1,
      panels: shape.valueStride / 16, k: count, accumulate: true)
  }

  /// Writes `y / z`.
  func finish(_ o: UnsafeMutablePointer<Float>) {
    writeQuotient(o, values, divisor: sum, width: shape.valueWidth)
  }
}
