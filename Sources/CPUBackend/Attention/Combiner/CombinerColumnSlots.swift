import Tensor

/// Keys and values that columns meet in the rows above, `[columns, rows, ·]`, one column together.
struct CombinerColumnSlots {
  let shape: HeadShape
  let grid: CombinerGrid
  let keys: UnsafeMutablePointer<Float>
  let values: UnsafeMutablePointer<Float>

  /// Slots in given memory.
  init(
    _ shape: HeadShape, _ grid: CombinerGrid, keys: UnsafeMutablePointer<Float>,
    values: UnsafeMutablePointer<Float>
  ) {
    self.shape = shape
    self.grid = grid
    self.keys = keys
    self.values = values
  }

  init(_ shape: HeadShape, _ longest: CombinerGrid, _ scratch: inout Scratch) {
    self.init(
      shape, longest, keys: scratch.take(longest.looked * longest.width * shape.keyStride),
      values: scratch.take(longest.looked * longest.width * shape.valueStride))
  }

  /// The same memory for another length.
  func with(_ grid: CombinerGrid) -> CombinerColumnSlots {
    CombinerColumnSlots(shape, grid, keys: keys, values: values)
  }

  func key(column: Int, row: Int) -> UnsafeMutablePointer<Float> {
    keys + (column * grid.looked + row) * shape.keyStride
  }

  func value(column: Int, row: Int) -> UnsafeMutablePointer<Float> {
    values + (column * grid.looked + row) * shape.valueStride
  }

  /// Floats from a key to that of the next column.
  var keyStep: Int { grid.looked * shape.keyStride }
  /// Floats from a value to that of the next column.
  var valueStep: Int { grid.looked * shape.valueStride }

  func clear() {
    keys.update(repeating: 0, count: grid.looked * grid.width * shape.keyStride)
    values.update(repeating: 0, count: grid.looked * grid.width * shape.valueStride)
  }

  /// The first `count` rows of a column as keys of a backward tile.
  func range(
    _ gradients: CombinerColumnSlots, column: Int, count: Int
  ) -> AttentionBackwardTile.Range {
    AttentionBackwardTile.Range(
      count: count, keys: key(column: column, row: 0), values: value(column: column, row: 0),
      keyGradients: gradients.key(column: column, row: 0),
      valueGradients: gradients.value(column: column, row: 0))
  }
}
