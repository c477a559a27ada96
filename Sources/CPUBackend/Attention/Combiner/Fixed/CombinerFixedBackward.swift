import Host
import Tensor

/// Backward pass of fixed segments over one sequence and head.
///
/// From left to right, every region is pooled and summarised. Then segments are taken from right to
/// left: every reader of a region lies to its right, so the gradients of its slot are complete when its
/// turn comes, and are passed to its rows while these are in cache.
struct CombinerFixedBackward {
  private let rows: AttentionGradientRows  // of one segment
  private let shape: CombinerShape
  private let tile: AttentionBackwardTile
  private let summary: CombinerSummary
  private let slots: CombinerSlots

  init(_ widths: HeadShape, longest: Int, _ shape: CombinerShape, _ scratch: inout Scratch) {
    self.shape = shape
    rows = AttentionGradientRows(widths, longest: min(shape.segment, longest), &scratch)
    tile = AttentionBackwardTile(widths, &scratch)
    summary = CombinerSummary(widths, longest: min(shape.segment, longest), &scratch)
    slots = CombinerSlots(
      widths, count: CombinerFixed.regions(length: longest, segment: shape.segment), &scratch)
  }

  func run(
    _ views: CombinerViews, _ gradients: CombinerViewGradients, _ head: CombinerHead
  ) {
    let segment = shape.segment
    let regions = CombinerFixed.regions(length: head.length, segment: segment)
    slots.clearGradients(count: regions)
    for region in 0..<regions {
      rows.packInputs(
        views.q, views.k, views.v, head: head.number, first: head.first + region * segment,
        range: 0..<segment, scale: shape.scale)
      slots.pool(region, rows, from: 0, count: segment, shape.pooling)
      summary.forward(
        slots.value(region), query: slots.query(region), rows.region(from: 0, count: segment))
    }
    for index in (0..<(head.length + segment - 1) / segment).reversed() {
      let range = index * segment..<min(head.length, (index + 1) * segment)
      gradients.pack(rows, views, head, range: range)
      attend(region: index, count: range.count)
      if index < regions {
        slots.spread(index, rows, from: 0, count: segment, shape.pooling, summary)
      }
      gradients.write(rows, head, range: range)
    }
  }

  private func attend(region: Int, count: Int) {
    for row in stride(from: 0, to: count, by: AttentionTile.backwardRows) {
      let queries = rows.rows(from: row, count: min(AttentionTile.backwardRows, count - row))
      tile.pack(queries)
      tile.accumulate(queries, slots.range(count: region), bias: .none, mask: .none)
      tile.accumulate(
        queries, rows.range(from: 0, count: row + queries.count), bias: .none,
        mask: .causal(offset: row))
    }
  }
}

/// Summaries of consecutive regions and their gradients, packed rows.
struct CombinerSlots {
  private let widths: HeadShape
  private let queries: UnsafeMutablePointer<Float>  // [count, padded D], times the scale
  private let keys: UnsafeMutablePointer<Float>  // [count, padded D]
  private let values: UnsafeMutablePointer<Float>  // [count, padded E]
  private let queryWinners: UnsafeMutablePointer<Float>  // [count, padded D]
  private let keyWinners: UnsafeMutablePointer<Float>  // [count, padded D]
  private let queryGradient: UnsafeMutablePointer<Float>  // [padded D], of one region at a time
  private let keyGradients: UnsafeMutablePointer<Float>  // [count, padded D]
  private let valueGradients: UnsafeMutablePointer<Float>  // [count, padded E]

  init(_ widths: HeadShape, count: Int, _ scratch: inout Scratch) {
    self.widths = widths
    queries = scratch.take(count * widths.keyStride)
    keys = scratch.take(count * widths.keyStride)
    values = scratch.take(count * widths.valueStride)
    queryWinners = scratch.take(count * widths.keyStride)
    keyWinners = scratch.take(count * widths.keyStride)
    queryGradient = scratch.take(widths.keyStride)
    keyGradients = scratch.take(count * widths.keyStride)
    valueGradients = scratch.take(count * widths.valueStride)
  }

  func query(_ slot: Int) -> UnsafePointer<Float> {
    UnsafePointer(queries + slot * widths.keyStride)
  }

  func value(_ slot: Int) -> UnsafeMutablePointer<Float> { values + slot * widths.valueStride }

  func clearGradients(count: Int) {
    keyGradients.update(repeating: 0, count: count * widths.keyStride)
    valueGradients.update(repeating: 0, count: count * widths.valueStride)
  }

  /// The first `count` slots as keys of a tile.
  func range(count: Int) -> AttentionBackwardTile.Range {
    AttentionBackwardTile.Range(
      count: count, keys: keys, values: values, keyGradients: keyGradients,
      valueGradients: valueGradients)
  }

  /// Pools queries and keys of a region.
  func pool(
    _ slot: Int, _ rows: AttentionGradientRows, from row: Int, count: Int,
    _ pooling: CombinerShape.Pooling
  ) {
    let stride = widths.keyStride
    CombinerPooling.forward(
      queries + slot * stride, winners: queryWinners + slot * stride, rows.queries + row * stride,
      stride: stride, count: count, width: stride, pooling)
    CombinerPooling.forward(
      keys + slot * stride, winners: keyWinners + slot * stride, rows.keys + row * stride,
      stride: stride, count: count, width: stride, pooling)
  }

  /// Passes the gradients of a slot to the rows of its region.
  func spread(
    _ slot: Int, _ rows: AttentionGradientRows, from row: Int, count: Int,
    _ pooling: CombinerShape.Pooling, _ summary: CombinerSummary
  ) {
    let stride = widths.keyStride
    queryGradient.update(repeating: 0, count: stride)
    summary.backward(
      dQuery: queryGradient, rows.regionGradients(from: row),
      dVbar: valueGradients + slot * widths.valueStride, vbar: value(slot), query: query(slot),
      rows.region(from: row, count: count))
    CombinerPooling.backward(
      rows.queryGradients + row * stride, stride: stride, count: count, width: stride,
      queryGradient, winners: queryWinners + slot * stride, pooling)
    CombinerPooling.backward(
      rows.keyGradients + row * stride, stride: stride, count: count, width: stride,
      keyGradients + slot * stride, winners: keyWinners + slot * stride, pooling)
  }
}
