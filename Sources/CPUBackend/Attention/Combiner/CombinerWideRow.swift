import Tensor

/// Gradients of the summaries of one row, `[dA | dS]` or dS alone, as rows of a backward tile.
struct CombinerWideRow {
  let stride: Int
  let width: Int
  let gradients: UnsafeMutablePointer<Float>  // [m, stride]
  let valueGradients: UnsafeMutablePointer<Float>  // [m, stride], of the keys and values
  let dots: UnsafeMutablePointer<Float>  // [m]

  init(_ wide: HeadShape, width: Int, _ scratch: inout Scratch) {
    stride = wide.valueStride
    self.width = width
    gradients = scratch.take(width * wide.valueStride)
    valueGradients = scratch.take(width * wide.valueStride)
    dots = scratch.take(width)
  }

  /// Takes the gradients of one column's summary and their products with it.
  func load(
    column: Int, address: CombinerShape.Address, _ shape: HeadShape, key: UnsafePointer<Float>,
    value: UnsafePointer<Float>, dKey: UnsafePointer<Float>, dValue: UnsafePointer<Float>
  ) {
    let to = gradients + column * stride
    var dot = rowDot(dValue, value, count: shape.valueStride)
    if address == .wsum {
      copyPacked(to, dKey, count: shape.keyStride)
      copyPacked(to + shape.keyStride, dValue, count: shape.valueStride)
      dot += rowDot(dKey, key, count: shape.keyStride)
    } else {
      copyPacked(to, dValue, count: shape.valueStride)
    }
    dots[column] = dot
  }

  func clear() { valueGradients.update(repeating: 0, count: width * stride) }

  func add(
    dKeys: UnsafeMutablePointer<Float>, dValues: UnsafeMutablePointer<Float>, _ shape: HeadShape
  ) {
    for row in 0..<width {
      let from = valueGradients + row * stride
      addPacked(dKeys + row * shape.keyStride, from, count: shape.keyStride)
      addPacked(
        dValues + row * shape.valueStride, from + shape.keyStride, count: shape.valueStride)
    }
  }
}
