/// Backward pass of fixed segments over one sequence and head.
///
/// All queries first: their slots' gradients are complete only after the last reader. Then every
/// region hands them on to its tokens.
struct CombinerFixedBackward {
  let rows: AttentionGradients
  private let shape: CombinerShape
  private let head: HeadShape
  private let tile: AttentionBackwardTile
  private let none: LaneBias
  private let summary: CombinerSummary
  private let slots: CombinerSlots

  static func floats(_ head: HeadShape, longest: Int, _ shape: CombinerShape) -> Int {
    let regions = CombinerFixed.regions(length: longest, segment: shape.segment)
    return AttentionGradients.floats(head, longest: longest) + AttentionBackwardTile.floats(head)
      + CombinerSlots.floats(head, count: regions)
      + CombinerSummary.floats(longest: min(shape.segment, longest)) + 16
  }

  init(_ head: HeadShape, longest: Int, _ shape: CombinerShape, _ scratch: inout Scratch) {
    self.shape = shape
    self.head = head
    rows = AttentionGradients(head, longest: longest, &scratch)
    tile = AttentionBackwardTile(head, &scratch)
    none = .none(&scratch)
    summary = CombinerSummary(head, longest: min(shape.segment, longest), &scratch)
    slots = CombinerSlots(
      head, count: CombinerFixed.regions(length: longest, segment: shape.segment), &scratch)
  }

  /// Takes packed rows and cleared gradients to finished gradients.
  func run(length: Int) {
    let segment = shape.segment
    let regions = CombinerFixed.regions(length: length, segment: segment)
    slots.clearGradients(count: regions)
    for region in 0..<regions {
      slots.pool(region, rows, from: region * segment, count: segment, shape.pooling)
      summary.forward(
        slots.value(region), query: slots.query(region),
        rows.region(from: region * segment, count: segment))
    }
    var start = 0
    while start < length {
      attend(start: start, count: min(segment, length - start))
      start += segment
    }
    for region in 0..<regions {
      slots.spread(region, rows, from: region * segment, count: segment, shape.pooling, summary)
    }
  }

  private func attend(start: Int, count: Int) {
    var row = 0
    while row < count {
      let queries = rows.rows(
        from: start + row, count: min(AttentionTile.backwardRows, count - row))
      tile.load(queries)
      tile.accumulate(
        queries, slots.range(count: start / shape.segment), bias: none, mask: .none)
      tile.accumulate(
        queries, rows.range(from: start, count: row + queries.count), bias: none,
        mask: .causal(offset: row))
      row += queries.count
    }
  }
}

extension AttentionGradients {
  /// Packed rows of a region.
  func region(from row: Int, count: Int) -> CombinerSummary.Region {
    CombinerSummary.Region(
      count: count, keys: keys + row * shape.keyStride, keyStride: shape.keyStride,
      values: values + row * shape.valueStride, valueStride: shape.valueStride)
  }

  /// Gradients of a region's rows.
  func regionGradients(from row: Int) -> CombinerSummary.RegionGradients {
    CombinerSummary.RegionGradients(
      keys: keyGradients + row * shape.keyStride, values: valueGradients + row * shape.valueStride)
  }
}

/// Summaries of consecutive regions and their gradients, packed rows.
struct CombinerSlots {
  private let head: HeadShape
  private let queries: UnsafeMutablePointer<Float>  // [count, padded D], times the scale
  private let keys: UnsafeMutablePointer<Float>  // [count, padded D]
  private let values: UnsafeMutablePointer<Float>  // [count, padded E]
  private let queryWinners: UnsafeMutablePointer<Float>  // [count, padded D]
  private let keyWinners: UnsafeMutablePointer<Float>  // [count, padded D]
  private let queryGradient: UnsafeMutablePointer<Float>  // [padded D], of one region at a time
  private let keyGradients: UnsafeMutablePointer<Float>  // [count, padded D]
  private let valueGradients: UnsafeMutablePointer<Float>  // [count, padded E]

  static func floats(_ head: HeadShape, count: Int) -> Int {
    count * (5 * head.keyStride + 2 * head.valueStride) + head.keyStride
  }

  init(_ head: HeadShape, count: Int, _ scratch: inout Scratch) {
    self.head = head
    queries = scratch.take(count * head.keyStride)
    keys = scratch.take(count * head.keyStride)
    values = scratch.take(count * head.valueStride)
    queryWinners = scratch.take(count * head.keyStride)
    keyWinners = scratch.take(count * head.keyStride)
    queryGradient = scratch.take(head.keyStride)
    keyGradients = scratch.take(count * head.keyStride)
    valueGradients = scratch.take(count * head.valueStride)
  }

  func query(_ slot: Int) -> UnsafePointer<Float> {
    UnsafePointer(queries + slot * head.keyStride)
  }

  func value(_ slot: Int) -> UnsafeMutablePointer<Float> { values + slot * head.valueStride }

  func clearGradients(count: Int) {
    keyGradients.update(repeating: 0, count: count * head.keyStride)
    valueGradients.update(repeating: 0, count: count * head.valueStride)
  }

  /// The first `count` slots as keys of a tile.
  func range(count: Int) -> AttentionBackwardTile.Range {
    AttentionBackwardTile.Range(
      count: count, keys: keys, values: values, keyGradients: keyGradients,
      valueGradients: valueGradients)
  }

  /// Pools queries and keys of a region.
  func pool(
    _ slot: Int, _ rows: AttentionGradients, from row: Int, count: Int,
    _ pooling: CombinerShape.Pooling
  ) {
    let stride = head.keyStride
    CombinerPooling.forward(
      queries + slot * stride, winners: queryWinners + slot * stride, rows.queries + row * stride,
      stride: stride, count: count, width: stride, pooling)
    CombinerPooling.forward(
      keys + slot * stride, winners: keyWinners + slot * stride, rows.keys + row * stride,
      stride: stride, count: count, width: stride, pooling)
  }

  /// Hands the gradients of a slot on to the rows of its region.
  func spread(
    _ slot: Int, _ rows: AttentionGradients, from row: Int, count: Int,
    _ pooling: CombinerShape.Pooling, _ summary: CombinerSummary
  ) {
    let stride = head.keyStride
    queryGradient.update(repeating: 0, count: stride)
    summary.backward(
      dQuery: queryGradient, rows.regionGradients(from: row),
      dVbar: valueGradients + slot * head.valueStride, vbar: value(slot), query: query(slot),
      rows.region(from: row, count: count))
    CombinerPooling.backward(
      rows.queryGradients + row * stride, stride: stride, count: count, width: stride,
      queryGradient, winners: queryWinners + slot * stride, pooling)
    CombinerPooling.backward(
      rows.keyGradients + row * stride, stride: stride, count: count, width: stride,
      keyGradients + slot * stride, winners: keyWinners + slot * stride, pooling)
  }
}
