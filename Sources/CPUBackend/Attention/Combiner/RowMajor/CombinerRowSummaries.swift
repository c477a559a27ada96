import Tensor

/// Unmasked attention inside one complete row, forward and backward.
///
///     P = softmax(scale · Q Kᵀ)        S = P V        wsum: A = P K        none: A = K
///     dS_ij = P (<dS_i, v_j> + <dA_i, k_j> - <dS_i, S_i> - <dA_i, A_i>)
///
/// S_c summarises the row for column c: its query is that of the column, not a pooled one (axial
/// row-major pattern of Ren and others, 2021). With `wsum` keys and values are one wide value, so
/// that P is used once for both. Projected addresses are made elsewhere.
struct CombinerRowSummaries {
  let shape: HeadShape
  let address: CombinerShape.Address
  let width: Int
  /// Heads whose values are what P weighs: V, or K and V side by side.
  let wide: HeadShape
  private let panel: AttentionPanel
  private let both: UnsafeMutablePointer<Float>  // [m, K and V]

  static func wideShape(_ shape: HeadShape, _ address: CombinerShape.Address) -> HeadShape {
    address == .wsum
      ? HeadShape(keyWidth: shape.keyWidth, valueWidth: shape.keyStride + shape.valueStride)
      : shape
  }

  init(
    _ shape: HeadShape, _ address: CombinerShape.Address, width: Int, _ scratch: inout Scratch
  ) {
    self.shape = shape
    self.address = address
    self.width = width
    wide = Self.wideShape(shape, address)
    panel = AttentionPanel(wide, &scratch)
    both = scratch.take(width * wide.valueStride)
  }

  /// Where the summaries of a row go; steps in floats from one column to the next.
  struct Destination {
    /// Not written for projected addresses.
    let keys: UnsafeMutablePointer<Float>
    let keyStep: Int
    let values: UnsafeMutablePointer<Float>
    let valueStep: Int
    /// Log-sum-exp of every column, or nil.
    var lse: UnsafeMutablePointer<Float>?
  }

  /// Summarises a row.
  ///
  /// - Parameters:
  ///   - queries: The row's queries, `queryStride` floats apart, not yet scaled.
  ///   - keys: Packed keys of the row.
  ///   - values: Packed values of the row.
  func forward(
    _ destination: Destination, queries: UnsafePointer<Float>, queryStride: Int, scale: Float,
    keys: UnsafePointer<Float>, values: UnsafePointer<Float>
  ) {
    let valueRows = address == .wsum ? UnsafePointer(join(keys, values)) : values
    var column = 0
    while column < width {
      let rows = min(16, width - column)
      packTransposed(
        panel.queries, queries + column * queryStride, sourceStride: queryStride, rows: rows,
        width: shape.keyWidth, scale: scale)
      panel.reset()
      panel.attend(
        keys: keys, valueRows: valueRows, count: width, bias: .none, mask: .none, rows: rows)
      write(destination, column: column, rows: rows)
      column += rows
    }
    if address != .none { return }
    for column in 0..<width {
      copyPacked(
        destination.keys + column * destination.keyStep, keys + column * shape.keyStride,
        count: shape.keyStride)
    }
  }

  /// Keys and values of the row side by side.
  func join(
    _ keys: UnsafePointer<Float>, _ values: UnsafePointer<Float>
  ) -> UnsafeMutablePointer<Float> {
    for row in 0..<width {
      let to = both + row * wide.valueStride
      copyPacked(to, keys + row * shape.keyStride, count: shape.keyStride)
      copyPacked(
        to + shape.keyStride, values + row * shape.valueStride, count: shape.valueStride)
    }
    return both
  }

  private func write(_ destination: Destination, column: Int, rows: Int) {
    let valueStart = address == .wsum ? shape.keyStride : 0
    for row in 0..<rows {
      let y = panel.values + row * wide.valueStride
      let divisor = panel.sum[row]
      let place = column + row
      if address == .wsum {
        writeSummary(
          destination.keys + place * destination.keyStep, y, divisor: divisor,
          count: shape.keyStride)
      }
      writeSummary(
        destination.values + place * destination.valueStep, y + valueStart, divisor: divisor,
        count: shape.valueStride)
      if let lse = destination.lse { lse[place] = panel.logSumExp(row) }
    }
  }
}

/// Gradients of the summaries of one row, `[dA | dS]` or dS alone, as rows of a backward tile.
struct CombinerRowSummaryGradients {
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

  /// Packs the gradients of one column's summary and their products with it.
  func pack(
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
