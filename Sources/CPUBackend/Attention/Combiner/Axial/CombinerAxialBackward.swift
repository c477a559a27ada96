import Host
import Tensor

/// Backward pass of the axial patterns over one sequence and head.
///
/// The regions are computed again. Then the joint softmax by columns (own column, side regions)
/// and by rows (own row, column regions), and, once all their readers are done, the regions.
struct CombinerAxialBackward {
  let shape: HeadShape
  let all: AttentionGradientRows
  private let slots: CombinerAxialSlots
  private let slotGradients: CombinerAxialSlots
  private let line: CombinerLine
  private let lineGradients: CombinerLine
  private let prefixes: CombinerPrefixSummaryGradients
  private let tile: AttentionBackwardTile
  private let columnTile: CombinerColumnTile
  private let diagonal: CombinerDiagonal

  init(
    _ shape: HeadShape, _ longest: CombinerGrid, _ pooling: CombinerShape.Pooling, sides: Bool,
    _ scratch: inout Scratch
  ) {
    self.shape = shape
    let longestLine = CombinerAxialForward.longestLine(longest)
    all = AttentionGradientRows(shape, longest: longest.length, &scratch)
    slots = CombinerAxialSlots(shape, longest, sides: sides, &scratch)
    slotGradients = CombinerAxialSlots(shape, longest, sides: sides, &scratch)
    line = CombinerLine(shape, longest: longestLine, &scratch)
    lineGradients = CombinerLine(shape, longest: longestLine, &scratch)
    prefixes = CombinerPrefixSummaryGradients(
      CombinerPrefixSummaries(shape, pooling, longest: longestLine, &scratch),
      longest: longestLine, &scratch)
    tile = AttentionBackwardTile(shape, &scratch)
    columnTile = CombinerColumnTile(shape, &scratch)
    diagonal = CombinerDiagonal(width: longest.width, &scratch)
  }

  /// Adds to the gradients of `all`, which is packed.
  func run(_ grid: CombinerGrid) {
    let slots = slots.with(grid)
    let gradients = slotGradients.with(grid)
    gradients.clear()
    diagonal.fill()
    for row in 0..<grid.summarised { summariseSides(row: row, slots) }
    if grid.summarised > 0 {
      for column in 0..<grid.width { self.column(column, slots, gradients) }
    }
    for row in 0..<grid.rows { self.row(row, slots, gradients) }
    if grid.width == 1 { return }
    for column in 0..<grid.width { columnRegions(column, slots, gradients) }
    for row in 0..<grid.summarised { sideRegions(row: row, slots, gradients) }
  }

  private var rows: CombinerLine {
    CombinerLine(shape, queries: all.queries, keys: all.keys, values: all.values)
  }

  private var rowGradients: CombinerLine {
    CombinerLine(
      shape, queries: all.queryGradients, keys: all.keyGradients, values: all.valueGradients)
  }

  private func summariseSides(row: Int, _ slots: CombinerAxialSlots) {
    guard let sides = slots.sides else { return }
    let width = slots.grid.width
    prefixes.summaries.forward(
      slots.left(row, sides), rows.advanced(by: row * width), count: width - 1)
    line.gather(rows, from: (row + 1) * width - 1, step: -1, count: width)
    prefixes.summaries.forward(slots.right(row, sides), line, count: width - 1)
  }

  /// The regions of a column once more, and the joint softmax of its queries with what the column
  /// gives them.
  private func column(
    _ column: Int, _ slots: CombinerAxialSlots, _ gradients: CombinerAxialSlots
  ) {
    let grid = slots.grid
    line.gather(rows, from: column, step: grid.width, count: grid.summarised)
    if grid.width > 1 {
      prefixes.summaries.forward(slots.column(column), line, count: grid.summarised)
    }
    lineGradients.clear(count: grid.summarised)
    let readers = grid.readers(column: column)
    var reader = 0
    while reader < readers {
      let count = min(AttentionTile.backwardRows, readers - reader)
      let position = (reader + 1) * grid.width + column
      let queries = columnTile.gather(all, position: position, step: grid.width, count: count)
      let mask = LaneMask.causal(offset: reader)
      let seen = reader + count
      tile.pack(queries)
      tile.accumulate(queries, line.range(lineGradients, count: seen), bias: .none, mask: mask)
      if let sides = slots.sides, let dSides = gradients.sides {
        if column > 0 {
          tile.accumulate(
            queries, sides.left.range(dSides.left, column: column, count: seen), bias: .none,
            mask: mask)
        }
        if column < grid.width - 1 {
          tile.accumulate(
            queries, sides.right.range(dSides.right, column: column, count: seen), bias: .none,
            mask: mask)
        }
      }
      columnTile.scatter(all, position: position, step: grid.width, count: count)
      reader += count
    }
    lineGradients.scatter(to: rowGradients, from: column, step: grid.width, count: grid.summarised)
  }

  /// The joint softmax of a row's queries with their own row and the column regions.
  private func row(
    _ row: Int, _ slots: CombinerAxialSlots, _ gradients: CombinerAxialSlots
  ) {
    let grid = slots.grid
    let first = row * grid.width
    let count = grid.count(row: row)
    var column = 0
    while column < count {
      let queries = all.rows(
        from: first + column, count: min(AttentionTile.backwardRows, count - column))
      tile.pack(queries)
      tile.accumulate(
        queries, all.range(from: first, count: column + queries.count), bias: .none,
        mask: .causal(offset: column))
      if row > 0 && grid.width > 1 {
        tile.accumulate(
          queries, slots.columnRange(gradients, row: row), bias: diagonal.lanes(column: column),
          mask: .none)
      }
      column += queries.count
    }
  }

  private func columnRegions(
    _ column: Int, _ slots: CombinerAxialSlots, _ gradients: CombinerAxialSlots
  ) {
    let grid = slots.grid
    line.gather(rows, from: column, step: grid.width, count: grid.summarised)
    lineGradients.clear(count: grid.summarised)
    prefixes.backward(
      lineGradients, line, slots.column(column), gradients.column(column), count: grid.summarised,
      lateTies: false)
    lineGradients.scatter(to: rowGradients, from: column, step: grid.width, count: grid.summarised)
  }

  private func sideRegions(
    row: Int, _ slots: CombinerAxialSlots, _ gradients: CombinerAxialSlots
  ) {
    guard let sides = slots.sides, let dSides = gradients.sides else { return }
    let width = slots.grid.width
    let first = row * width
    prefixes.backward(
      rowGradients.advanced(by: first), rows.advanced(by: first), slots.left(row, sides),
      gradients.left(row, dSides), count: width - 1, lateTies: false)
    let last = first + width - 1
    line.gather(rows, from: last, step: -1, count: width)
    lineGradients.clear(count: width)
    prefixes.backward(
      lineGradients, line, slots.right(row, sides), gradients.right(row, dSides),
      count: width - 1, lateTies: true)
    lineGradients.scatter(to: rowGradients, from: last, step: -1, count: width)
  }
}
