import Tensor

/// The regions of the axial patterns, `vertical` and `mixture`, of one sequence and head.
///
/// Of columns: for row r the part of every column above it, `[summarised rows, columns, ·]` at r - 1.
/// Of rows (`mixture`): for column c the parts of every row left and right of it.
struct CombinerAxialSlots {
  let shape: HeadShape
  let grid: CombinerGrid
  let columnKeys: UnsafeMutablePointer<Float>  // [summarised, m, padded D]
  let columnValues: UnsafeMutablePointer<Float>  // [summarised, m, padded E]
  let columnLse: UnsafeMutablePointer<Float>  // [m, summarised]
  let sides: Sides?

  struct Sides {
    let left: CombinerColumnSlots
    let right: CombinerColumnSlots
    let leftLse: UnsafeMutablePointer<Float>  // [summarised, m]
    let rightLse: UnsafeMutablePointer<Float>  // [summarised, m]
  }

  init(_ shape: HeadShape, _ longest: CombinerGrid, sides: Bool, _ scratch: inout Scratch) {
    let places = longest.summarised * longest.width
    self.shape = shape
    grid = longest
    columnKeys = scratch.take(places * shape.keyStride)
    columnValues = scratch.take(places * shape.valueStride)
    columnLse = scratch.take(places)
    self.sides =
      sides
      ? Sides(
        left: CombinerColumnSlots(shape, longest, &scratch),
        right: CombinerColumnSlots(shape, longest, &scratch), leftLse: scratch.take(places),
        rightLse: scratch.take(places)) : nil
  }

  private init(_ other: CombinerAxialSlots, _ grid: CombinerGrid) {
    shape = other.shape
    self.grid = grid
    columnKeys = other.columnKeys
    columnValues = other.columnValues
    columnLse = other.columnLse
    sides = other.sides.map {
      Sides(
        left: $0.left.with(grid), right: $0.right.with(grid), leftLse: $0.leftLse,
        rightLse: $0.rightLse)
    }
  }

  /// The same memory for another length.
  func with(_ grid: CombinerGrid) -> CombinerAxialSlots { CombinerAxialSlots(self, grid) }

  /// Zeroes everything but the logarithms.
  func clear() {
    let places = grid.summarised * grid.width
    columnKeys.update(repeating: 0, count: places * shape.keyStride)
    columnValues.update(repeating: 0, count: places * shape.valueStride)
    sides?.left.clear()
    sides?.right.clear()
  }

  /// The prefixes of a column from the top.
  func column(_ column: Int) -> CombinerPrefixSummaries.Destination {
    CombinerPrefixSummaries.Destination(
      keys: columnKeys + column * shape.keyStride, keyStep: grid.width * shape.keyStride,
      values: columnValues + column * shape.valueStride,
      valueStep: grid.width * shape.valueStride, lse: columnLse + column * grid.summarised)
  }

  /// The prefixes of a row from its first column, for the columns from the second on.
  func left(_ row: Int, _ sides: Sides) -> CombinerPrefixSummaries.Destination {
    CombinerPrefixSummaries.Destination(
      keys: sides.left.key(column: 1, row: row), keyStep: sides.left.keyStep,
      values: sides.left.value(column: 1, row: row), valueStep: sides.left.valueStep,
      lse: sides.leftLse + row * grid.width)
  }

  /// The prefixes of a row from its last column, for the columns from the last but one down.
  func right(_ row: Int, _ sides: Sides) -> CombinerPrefixSummaries.Destination {
    let column = grid.width - 2
    return CombinerPrefixSummaries.Destination(
      keys: sides.right.key(column: column, row: row), keyStep: -sides.right.keyStep,
      values: sides.right.value(column: column, row: row), valueStep: -sides.right.valueStep,
      lse: sides.rightLse + row * grid.width)
  }

  /// The column regions that row `row` sees, as keys of a backward tile.
  func columnRange(_ gradients: CombinerAxialSlots, row: Int) -> AttentionBackwardTile.Range {
    let keys = (row - 1) * grid.width * shape.keyStride
    let values = (row - 1) * grid.width * shape.valueStride
    return AttentionBackwardTile.Range(
      count: grid.width, keys: columnKeys + keys, values: columnValues + values,
      keyGradients: gradients.columnKeys + keys, valueGradients: gradients.columnValues + values)
  }
}

/// Hides from a query the region of its own column, whose keys it meets directly.
///
/// A bias by distance of columns: minus infinity at 0, nothing elsewhere.
struct CombinerDiagonal {
  /// Entry of distance 0.
  let table: UnsafeMutablePointer<Float>
  let width: Int

  init(width: Int, _ scratch: inout Scratch) {
    table = scratch.take(2 * width + 32) + width
    self.width = width
  }

  func fill() {
    (table - width).update(repeating: 0, count: 2 * width + 32)
    table[0] = -.infinity
  }

  /// The bias of lanes from `column` on against all columns.
  func lanes(column: Int) -> LaneBias {
    LaneBias(
      table: table, gradient: nil, step: 1, origin: column, start: 0, shift: 0, last: width)
  }
}
