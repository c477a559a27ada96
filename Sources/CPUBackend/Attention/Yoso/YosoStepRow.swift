import Tensor

/// One position of one head.
struct YosoStepRow {
  let shape: YosoShape
  let widths: HeadShape
  let rows: UnsafeMutablePointer<Float>  // [2, padded D], query and key
  let value: UnsafeMutablePointer<Float>  // [padded E]
  let sums: UnsafeMutablePointer<Float>  // [padded E]
  let products: UnsafeMutablePointer<Float>  // [2, padded hashes · bits]
  let queryCodes: UnsafeMutablePointer<Int32>  // [hashes]
  let keyCodes: UnsafeMutablePointer<Int32>  // [hashes]
  let weights: UnsafeMutablePointer<Float>  // [padded count]

  init(_ shape: YosoShape, _ widths: HeadShape, count: Int, _ scratch: inout Scratch) {
    self.shape = shape
    self.widths = widths
    rows = scratch.take(2 * widths.keyStride)
    value = scratch.take(widths.valueStride)
    sums = scratch.take(widths.valueStride)
    products = scratch.take(2 * AttentionTile.padded(shape.hashes * shape.bits))
    queryCodes = scratch.take(2 * shape.hashes, of: Int32.self)
    keyCodes = queryCodes + shape.hashes
    weights = scratch.take(AttentionTile.padded(count))
  }

  func pack(
    q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>
  ) {
    for (source, to) in [(q, rows), (k, rows + widths.keyStride)] {
      packRows(
        to, stride: widths.keyStride, source, sourceStride: 0, rows: 1, width: widths.keyWidth)
    }
    packRows(
      value, stride: widths.valueStride, v, sourceStride: 0, rows: 1, width: widths.valueWidth)
    sums.update(repeating: 0, count: widths.valueStride)
  }

  /// Scales query and key to unit length, once their codes are known.
  func normalise() {
    for row in [rows, rows + widths.keyStride] {
      let norm = rowNorm(row, stride: widths.keyStride)
      scaleRow(row, by: 1 / max(norm, yosoLeastNorm), stride: widths.keyStride)
    }
  }

  /// Adds the value to the buckets of the key.
  func insert(_ table: UnsafeMutablePointer<Float>) {
    for hash in 0..<shape.hashes {
      addPacked(
        table + ((hash << shape.bits) + Int(keyCodes[hash])) * widths.valueStride, value,
        count: widths.valueStride)
    }
  }

  /// Adds the buckets of the query to the sums.
  func gather(_ table: UnsafePointer<Float>) {
    for hash in 0..<shape.hashes {
      addPacked(
        sums, table + ((hash << shape.bits) + Int(queryCodes[hash])) * widths.valueStride,
        count: widths.valueStride)
    }
  }
}
