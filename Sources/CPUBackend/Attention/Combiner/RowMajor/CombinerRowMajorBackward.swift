import Tensor

/// Backward pass of row-major Combiner attention over one sequence and head.
///
/// The summaries are computed again; then, as in the forward pass, rows (own keys) and columns
/// (slots) of the joint softmax. Last the summaries themselves, once all their readers are done.
struct CombinerRowMajorBackward {
  let shape: HeadShape
  let longest: CombinerGrid
  let all: AttentionGradientRows
  private let summaries: CombinerRowSummaries
  private let slots: CombinerColumnSlots
  private let slotGradients: CombinerColumnSlots
  private let rowLse: UnsafeMutablePointer<Float>  // [summarised rows, m]
  private let tile: AttentionBackwardTile
  private let columnTile: CombinerColumnTile
  private let wideTile: AttentionBackwardTile
  private let wide: CombinerRowSummaryGradients

  init(
    _ shape: HeadShape, _ address: CombinerShape.Address, _ longest: CombinerGrid,
    _ scratch: inout Scratch
  ) {
    self.shape = shape
    self.longest = longest
    all = AttentionGradientRows(shape, longest: longest.length, &scratch)
    summaries = CombinerRowSummaries(shape, address, width: longest.width, &scratch)
    slots = CombinerColumnSlots(shape, longest, &scratch)
    slotGradients = CombinerColumnSlots(shape, longest, &scratch)
    rowLse = scratch.take(longest.summarised * longest.width)
    tile = AttentionBackwardTile(shape, &scratch)
    columnTile = CombinerColumnTile(shape, &scratch)
    wideTile = AttentionBackwardTile(summaries.wide, &scratch)
    wide = CombinerRowSummaryGradients(summaries.wide, width: longest.width, &scratch)
  }

  /// The whole pass for addresses made inside the head; `all` is packed.
  func run(_ head: CombinerHead, _ grid: CombinerGrid) {
    let slots = slots.with(grid)
    let gradients = slotGradients.with(grid)
    summarise(head, grid, slots)
    joint(grid, slots, gradients)
    for row in 0..<grid.summarised { backwardRow(grid, row: row, slots, gradients) }
  }

  /// The joint softmax alone, with addresses of a projection; leaves the gradients of both.
  func run(
    _ grid: CombinerGrid, projected: CombinerProjectedSlots, dProjected: CombinerProjectedSlots
  ) {
    let slots = slots.with(grid)
    let gradients = slotGradients.with(grid)
    projected.pack(into: slots)
    joint(grid, slots, gradients)
    dProjected.unpack(gradients)
  }

  /// The summaries alone, from their whole gradient; `all` is packed.
  func runSummaries(
    _ head: CombinerHead, _ grid: CombinerGrid, dProjected: CombinerProjectedSlots
  ) {
    let slots = slots.with(grid)
    let gradients = slotGradients.with(grid)
    summarise(head, grid, slots)
    dProjected.packSummaries(into: gradients)
    for row in 0..<grid.summarised { backwardRow(grid, row: row, slots, gradients) }
  }

  private func summarise(_ head: CombinerHead, _ grid: CombinerGrid, _ slots: CombinerColumnSlots) {
    for row in 0..<grid.summarised {
      let position = row * grid.width
      summaries.forward(
        CombinerRowSummaries.Destination(
          keys: slots.key(column: 0, row: row), keyStep: slots.keyStep,
          values: slots.value(column: 0, row: row), valueStep: slots.valueStep,
          lse: rowLse + position),
        queries: head.q[position], queryStride: head.q.stride, scale: head.scale,
        keys: all.keys + position * shape.keyStride,
        values: all.values + position * shape.valueStride)
    }
  }

  private func joint(
    _ grid: CombinerGrid, _ slots: CombinerColumnSlots, _ gradients: CombinerColumnSlots
  ) {
    gradients.clear()
    for row in 0..<grid.rows {
      ownRow(first: row * grid.width, count: grid.count(row: row))
    }
    for column in 0..<grid.width {
      let readers = grid.readers(column: column)
      var reader = 0
      while reader < readers {
        let count = min(AttentionTile.backwardRows, readers - reader)
        let position = (reader + 1) * grid.width + column
        let rows = columnTile.gather(all, position: position, step: grid.width, count: count)
        tile.pack(rows)
        tile.accumulate(
          rows, slots.range(gradients, column: column, count: reader + count), bias: .none,
          mask: .causal(offset: reader))
        columnTile.scatter(all, position: position, step: grid.width, count: count)
        reader += count
      }
    }
  }

  /// `count` positions from `first` on: causal attention of the row to itself.
  private func ownRow(first: Int, count: Int) {
    for column in stride(from: 0, to: count, by: AttentionTile.backwardRows) {
      let rows = all.rows(
        from: first + column, count: min(AttentionTile.backwardRows, count - column))
      tile.pack(rows)
      tile.accumulate(
        rows, all.range(from: first, count: column + rows.count), bias: .none,
        mask: .causal(offset: column))
    }
  }

  /// Passes the gradients of one row's summaries to its queries, keys and values.
  private func backwardRow(
    _ grid: CombinerGrid, row: Int, _ slots: CombinerColumnSlots, _ gradients: CombinerColumnSlots
  ) {
    let position = row * grid.width
    let address = summaries.address
    for column in 0..<grid.width {
      wide.pack(
        column: column, address: address, shape,
        key: slots.key(column: column, row: row), value: slots.value(column: column, row: row),
        dKey: gradients.key(column: column, row: row),
        dValue: gradients.value(column: column, row: row))
    }
    let keys = all.keys + position * shape.keyStride
    let values = all.values + position * shape.valueStride
    let dKeys = all.keyGradients + position * shape.keyStride
    let dValues = all.valueGradients + position * shape.valueStride
    let isWide = address == .wsum
    if isWide { wide.clear() }
    let range = AttentionBackwardTile.Range(
      count: grid.width, keys: keys, values: isWide ? summaries.join(keys, values) : values,
      keyGradients: dKeys, valueGradients: isWide ? wide.valueGradients : dValues)
    var column = 0
    while column < grid.width {
      let count = min(AttentionTile.backwardRows, grid.width - column)
      let rows = AttentionBackwardTile.Rows(
        count: count, queries: all.queries + (position + column) * shape.keyStride,
        queryStride: shape.keyStride, gradients: wide.gradients + column * wide.stride,
        gradientStride: wide.stride, lse: rowLse + position + column, dots: wide.dots + column,
        queryGradients: all.queryGradients + (position + column) * shape.keyStride)
      wideTile.pack(rows)
      wideTile.accumulate(rows, range, bias: .none, mask: .none)
      column += count
    }
    if isWide { wide.add(dKeys: dKeys, dValues: dValues, shape) }
    if address == .none {
      for column in 0..<grid.width {
        addPacked(
          dKeys + column * shape.keyStride, gradients.key(column: column, row: row),
          count: shape.keyStride)
      }
    }
  }
}
