import Host
import Tensor

/// Forward pass of the axial patterns over one sequence and head.
///
/// Three sweeps: rows, for the regions beside each column (`mixture` only); columns, for the
/// regions above each row and the queries' own column; rows again, for the queries' own row and
/// the column regions. The running softmax of every position waits between the last two.
struct CombinerAxialForward {
  let shape: HeadShape
  private let slots: CombinerAxialSlots
  private let line: CombinerLine
  private let prefixes: CombinerPrefixSummaries
  private let partials: CombinerPartials
  private let panel: AttentionPanel
  private let diagonal: CombinerDiagonal

  /// Positions of the longest row or column.
  static func longestLine(_ grid: CombinerGrid) -> Int { max(grid.width, grid.summarised) }

  init(
    _ shape: HeadShape, _ longest: CombinerGrid, _ pooling: CombinerShape.Pooling, sides: Bool,
    _ scratch: inout Scratch
  ) {
    self.shape = shape
    let longestLine = Self.longestLine(longest)
    slots = CombinerAxialSlots(shape, longest, sides: sides, &scratch)
    line = CombinerLine(shape, longest: longestLine, &scratch)
    prefixes = CombinerPrefixSummaries(shape, pooling, longest: longestLine, &scratch)
    partials = CombinerPartials(shape, longest, &scratch)
    panel = AttentionPanel(shape, &scratch)
    diagonal = CombinerDiagonal(width: longest.width, &scratch)
  }

  func run(_ head: CombinerHead, _ grid: CombinerGrid) {
    let slots = slots.with(grid)
    diagonal.fill()
    if let sides = slots.sides {
      for row in 0..<grid.summarised { summariseSides(head, row: row, slots, sides) }
    }
    if grid.summarised > 0 {
      for column in 0..<grid.width { self.column(head, column: column, slots) }
    }
    for row in 0..<grid.rows { self.row(head, row: row, slots) }
  }

  private func summariseSides(
    _ head: CombinerHead, row: Int, _ slots: CombinerAxialSlots, _ sides: CombinerAxialSlots.Sides
  ) {
    let width = slots.grid.width
    head.pack(line, position: row * width, step: 1, rows: width)
    prefixes.forward(slots.left(row, sides), line, count: width - 1)
    head.pack(line, position: (row + 1) * width - 1, step: -1, rows: width)
    prefixes.forward(slots.right(row, sides), line, count: width - 1)
  }

  /// The regions of a column, then the raw column above and the side regions for its queries.
  private func column(_ head: CombinerHead, column: Int, _ slots: CombinerAxialSlots) {
    let grid = slots.grid
    head.pack(line, position: column, step: grid.width, rows: grid.summarised)
    if grid.width > 1 { prefixes.forward(slots.column(column), line, count: grid.summarised) }
    let readers = grid.readers(column: column)
    var reader = 0
    while reader < readers {
      let rows = min(16, readers - reader)
      head.packQueries(
        into: panel, position: (reader + 1) * grid.width + column, step: grid.width, rows: rows)
      panel.reset()
      attend(line.keys, line.values, reader: reader, rows: rows)
      if let sides = slots.sides {
        if column > 0 { attend(sides.left, column: column, reader: reader, rows: rows) }
        if column < grid.width - 1 {
          attend(sides.right, column: column, reader: reader, rows: rows)
        }
      }
      partials.save(panel, place: column * grid.rows + reader + 1, step: 1, rows: rows)
      reader += rows
    }
  }

  private func attend(_ slots: CombinerColumnSlots, column: Int, reader: Int, rows: Int) {
    attend(
      slots.key(column: column, row: 0), slots.value(column: column, row: 0), reader: reader,
      rows: rows)
  }

  /// Rows above: reader i, in row i + 1, sees rows 0...i.
  private func attend(
    _ keys: UnsafePointer<Float>, _ values: UnsafePointer<Float>, reader: Int, rows: Int
  ) {
    panel.attend(
      keys: keys, valueRows: values, count: reader + rows, bias: .none,
      mask: .causal(offset: reader), rows: rows)
  }

  /// Own row and the column regions.
  private func row(_ head: CombinerHead, row: Int, _ slots: CombinerAxialSlots) {
    let grid = slots.grid
    let count = grid.count(row: row)
    head.pack(
      keys: line.keys, values: line.values, position: row * grid.width, step: 1, rows: count)
    var column = 0
    while column < count {
      let rows = min(16, count - column)
      let position = row * grid.width + column
      head.packQueries(into: panel, position: position, step: 1, rows: rows)
      if row == 0 {
        panel.reset()
      } else {
        partials.restore(
          panel, place: column * grid.rows + row, step: grid.rows, rows: rows)
      }
      panel.attend(
        keys: line.keys, valueRows: line.values, count: column + rows, bias: .none,
        mask: .causal(offset: column), rows: rows)
      if row > 0 && grid.width > 1 {
        let first = (row - 1) * grid.width
        panel.attend(
          keys: slots.columnKeys + first * shape.keyStride,
          valueRows: slots.columnValues + first * shape.valueStride, count: grid.width,
          bias: diagonal.lanes(column: column), mask: .none, rows: rows)
      }
      head.finish(panel, position: position, step: 1, rows: rows)
      column += rows
    }
  }
}
