import Host
import Tensor

/// Row-major Combiner attention: own row directly, every earlier row as its summary for the column.
///
///     P_t = softmax(scale · Q_t K_tᵀ)      S_t = P_t V_t      A_t = P_t K_t, K_t or a projection
///     o_(r,c) = softmax over [own row, causal; A_(t,c), t < r] of [V; S_(t,c)]
///
/// The released code of Ren and others (2021) calls it axial row-major. Work per token is about
/// 7/4 m + L/(2 m) pairs with `wsum`.
enum CombinerRowMajor: CombinerPass {
  static func runForward(_ views: CombinerViews) {
    if let projection = views.projection {
      CombinerProjectedPass(views, projection).forward()
      return
    }
    let longest = CombinerGrid(longestOf: views)
    views.forEachHead(carving: {
      CombinerRowMajorForward(views.widths, views.shape.address, longest, &$0)
    }) { pass, head in
      pass.run(
        head, CombinerGrid(length: head.length, width: longest.width), projected: nil)
    }
  }

  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients) {
    if let projection = views.projection {
      CombinerProjectedPass(views, projection).backward(gradients)
      return
    }
    let longest = CombinerGrid(longestOf: views)
    views.forEachHead(carving: {
      CombinerRowMajorBackward(views.widths, views.shape.address, longest, &$0)
    }) { pass, head in
      gradients.pack(pass.all, views, head, range: 0..<head.length)
      pass.run(head, CombinerGrid(length: head.length, width: longest.width))
      gradients.write(pass.all, head, range: 0..<head.length)
    }
  }

  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState {
    CombinerRowMajorState(shape, head)
  }
}

/// Forward pass of row-major Combiner attention over one sequence and head.
///
/// Two sweeps. Along the rows: their summaries, and the queries' own row, causal. Along the
/// columns: the query of row r meets the summaries of rows t < r made for its column, which is
/// causal attention of the column to itself, one row late. 16 queries of a row or of a column are
/// the lanes of a vector; between the sweeps the running softmax of every position is kept.
struct CombinerRowMajorForward {
  let shape: HeadShape
  let longest: CombinerGrid
  let summaries: CombinerRowSummaries
  private let rowKeys: UnsafeMutablePointer<Float>  // [m, padded D]
  private let rowValues: UnsafeMutablePointer<Float>  // [m, padded E]
  private let slots: CombinerColumnSlots
  private let partials: CombinerPartials
  private let panel: AttentionPanel

  init(
    _ shape: HeadShape, _ address: CombinerShape.Address, _ longest: CombinerGrid,
    _ scratch: inout Scratch
  ) {
    self.shape = shape
    self.longest = longest
    summaries = CombinerRowSummaries(shape, address, width: longest.width, &scratch)
    rowKeys = scratch.take(longest.width * shape.keyStride)
    rowValues = scratch.take(longest.width * shape.valueStride)
    slots = CombinerColumnSlots(shape, longest, &scratch)
    partials = CombinerPartials(shape, longest, &scratch)
    panel = AttentionPanel(shape, &scratch)
  }

  /// Attends; with `projected` the summaries and their addresses are taken from there.
  func run(_ head: CombinerHead, _ grid: CombinerGrid, projected: CombinerProjectedSlots?) {
    let slots = slots.with(grid)
    projected?.pack(into: slots)
    for row in 0..<grid.rows {
      let position = row * grid.width
      head.pack(
        keys: rowKeys, values: rowValues, position: position, step: 1,
        rows: grid.count(row: row))
      if row < grid.summarised && projected == nil { summarise(head, row: row, slots) }
      attendRow(head, grid, row: row)
    }
    for column in 0..<grid.width { attendColumn(head, grid, column: column, slots) }
  }

  /// The summaries of all complete rows alone, one after another, for the projection.
  func summarise(
    _ head: CombinerHead, _ grid: CombinerGrid, into rows: UnsafeMutablePointer<Float>, stride: Int
  ) {
    let slots = slots.with(grid)
    for row in 0..<grid.summarised {
      head.pack(
        keys: rowKeys, values: rowValues, position: row * grid.width, step: 1, rows: grid.width)
      summarise(head, row: row, slots)
    }
    for row in 0..<grid.summarised {
      for column in 0..<grid.width {
        let to = rows + (row * grid.width + column) * stride
        to.update(from: slots.value(column: column, row: row), count: shape.valueWidth)
      }
    }
  }

  private func summarise(_ head: CombinerHead, row: Int, _ slots: CombinerColumnSlots) {
    summaries.forward(
      CombinerRowSummaries.Destination(
        keys: slots.key(column: 0, row: row), keyStep: slots.keyStep,
        values: slots.value(column: 0, row: row), valueStep: slots.valueStep),
      queries: head.q[row * longest.width], queryStride: head.q.stride,
      scale: head.scale, keys: rowKeys, values: rowValues)
  }

  /// Own row; complete where there is no row above.
  private func attendRow(_ head: CombinerHead, _ grid: CombinerGrid, row: Int) {
    let count = grid.count(row: row)
    var column = 0
    while column < count {
      let rows = min(16, count - column)
      let position = row * grid.width + column
      head.packQueries(into: panel, position: position, step: 1, rows: rows)
      panel.reset()
      panel.attend(
        keys: rowKeys, valueRows: rowValues, count: column + rows, bias: .none,
        mask: .causal(offset: column), rows: rows)
      if row == 0 {
        head.finish(panel, position: position, step: 1, rows: rows)
      } else {
        partials.save(panel, place: column * grid.rows + row, step: grid.rows, rows: rows)
      }
      column += rows
    }
  }

  /// Summaries of the rows above, for all rows of a column from the second on.
  private func attendColumn(
    _ head: CombinerHead, _ grid: CombinerGrid, column: Int, _ slots: CombinerColumnSlots
  ) {
    let readers = grid.readers(column: column)
    var reader = 0
    while reader < readers {
      let rows = min(16, readers - reader)
      let position = (reader + 1) * grid.width + column
      head.packQueries(into: panel, position: position, step: grid.width, rows: rows)
      partials.restore(
        panel, place: column * grid.rows + reader + 1, step: 1, rows: rows)
      panel.attend(
        keys: slots.key(column: column, row: 0), valueRows: slots.value(column: column, row: 0),
        count: reader + rows, bias: .none, mask: .causal(offset: reader), rows: rows)
      head.finish(panel, position: position, step: grid.width, rows: rows)
      reader += rows
    }
  }
}
