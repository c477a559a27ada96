import Host
import Tensor

/// The axial patterns of one stream: all keys and values so far, for the columns, and the regions.
///
/// A position adds itself to its column's region for the next row, an attention to the column;
/// the regions beside columns (`mixture`) are made when a row ends.
struct CombinerAxialState: CombinerPatternState {
  private let layout: CombinerAxialLayout
  private var length = 0
  private var past: [Float] = []  // [rows, H, layout.rowFloats]
  private var own: [Float]  // [H, layout.ownFloats]

  init(_ shape: CombinerShape, _ head: HeadShape, sides: Bool) {
    layout = CombinerAxialLayout(shape: shape, head: head, sides: sides)
    own = Array(repeating: 0, count: shape.heads * layout.ownFloats)
  }

  var bytes: Int { (past.count + own.count) * MemoryLayout<Float>.stride }

  mutating func step(o: View, q: View, k: View, v: View, projection: CombinerProjection?) {
    let layout = layout
    let (shape, head) = (layout.shape, layout.head)
    let (row, column) = length.quotientAndRemainder(dividingBy: shape.segment)
    if column == 0 {
      past.append(contentsOf: repeatElement(0, count: shape.heads * layout.rowFloats))
    }
    past.withUnsafeMutableBufferPointer { past in
      own.withUnsafeMutableBufferPointer { own in
        guard let past = past.baseAddress, let own = own.baseAddress else { return }
        Scratch.lend(carving: { CombinerAxialStep(layout, row: row, column: column, &$0) }) {
          step in
          var step = step
          step.diagonal.fill()
          for index in 0..<shape.heads {
            step.push(
              past: past + index * layout.rowFloats, own: own + index * layout.ownFloats,
              q: q.base + index * head.keyWidth, k: k.base + index * head.keyWidth,
              v: v.base + index * head.valueWidth)
            step.attend(o.base + index * head.valueWidth)
            step.extendColumn()
          }
        }
        if layout.sides && column == shape.segment - 1 {
          layout.summariseSides(
            past: past + row * shape.heads * layout.rowFloats, own: own)
        }
      }
    }
    length += 1
  }
}

/// Where things lie in the floats of one head.
struct CombinerAxialLayout: Sendable {
  let shape: CombinerShape
  let head: HeadShape
  let sides: Bool

  private var width: Int { shape.segment }
  private var keys: Int { width * head.keyStride }
  private var values: Int { width * head.valueStride }

  /// One row of the past: keys, values; `mixture` also left keys and values, right keys and values.
  var rowFloats: Int { (sides ? 3 : 1) * (keys + values) }
  /// Keys of one kind in a row of the past: 0 raw, 1 left, 2 right; their values follow.
  func keyOffset(_ kind: Int) -> Int { kind * (keys + values) }
  func valueOffset(_ kind: Int) -> Int { kind * (keys + values) + keys }

  /// The rest: running pools of queries and keys, two sets of column regions, the own row's queries.
  var ownFloats: Int { 2 * keys + 2 * (keys + values) + (sides ? keys : 0) }
  /// Running pool of the queries of a column; sums where pools are means.
  func queryPool(_ column: Int) -> Int { column * head.keyStride }
  func keyPool(_ column: Int) -> Int { keys + column * head.keyStride }
  /// Column regions seen by the rows of one parity.
  func regionKeys(parity: Int) -> Int { 2 * keys + parity * (keys + values) }
  func regionValues(parity: Int) -> Int { regionKeys(parity: parity) + keys }
  var queries: Int { 2 * keys + 2 * (keys + values) }

  /// Regions left and right of every column of the row that has just become complete.
  func summariseSides(past: UnsafeMutablePointer<Float>, own: UnsafeMutablePointer<Float>) {
    Scratch.lend(carving: { scratch in
      (
        CombinerPrefixSummaries(head, shape.pooling, longest: width, &scratch),
        CombinerLine(head, longest: width, &scratch)
      )
    }) { prefixes, reversed in
      for index in 0..<shape.heads {
        let past = past + index * rowFloats
        let line = CombinerLine(
          head, queries: own + index * ownFloats + queries, keys: past + keyOffset(0),
          values: past + valueOffset(0))
        prefixes.forward(
          CombinerPrefixSummaries.Destination(
            keys: past + keyOffset(1) + head.keyStride, keyStep: head.keyStride,
            values: past + valueOffset(1) + head.valueStride, valueStep: head.valueStride),
          line, count: width - 1)
        reversed.gather(line, from: width - 1, step: -1, count: width)
        prefixes.forward(
          CombinerPrefixSummaries.Destination(
            keys: past + keyOffset(2) + (width - 2) * head.keyStride, keyStep: -head.keyStride,
            values: past + valueOffset(2) + (width - 2) * head.valueStride,
            valueStep: -head.valueStride), reversed, count: width - 1)
      }
    }
  }
}

/// One position of one head.
private struct CombinerAxialStep {
  private let layout: CombinerAxialLayout
  private let row: Int
  private let column: Int
  private let query: UnsafeMutablePointer<Float>  // [padded D], times the scale
  private let pooled: UnsafeMutablePointer<Float>  // [padded D]
  let diagonal: CombinerDiagonal
  private var attention: AttentionRow
  private var past: UnsafeMutablePointer<Float>
  private var own: UnsafeMutablePointer<Float>

  init(_ layout: CombinerAxialLayout, row: Int, column: Int, _ scratch: inout Scratch) {
    self.layout = layout
    self.row = row
    self.column = column
    query = scratch.take(layout.head.keyStride)
    pooled = scratch.take(layout.head.keyStride)
    diagonal = CombinerDiagonal(width: layout.shape.segment, &scratch)
    attention = AttentionRow(layout.head, &scratch)
    past = query
    own = query
  }

  /// Floats from a row of the past to the next.
  private var rowStep: Int { layout.shape.heads * layout.rowFloats }

  /// Stores the position; `past` and `own` are those of its head.
  mutating func push(
    past: UnsafeMutablePointer<Float>, own: UnsafeMutablePointer<Float>,
    q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>
  ) {
    self.past = past
    self.own = own
    let head = layout.head
    let current = past + row * rowStep
    (current + layout.keyOffset(0) + column * head.keyStride).update(from: k, count: head.keyWidth)
    (current + layout.valueOffset(0) + column * head.valueStride).update(
      from: v, count: head.valueWidth)
    packRows(
      query, stride: head.keyStride, q, sourceStride: 0, rows: 1, width: head.keyWidth,
      scale: layout.shape.scale)
    if layout.sides {
      copyPacked(
        own + layout.queries + column * head.keyStride, query, count: head.keyStride)
    }
  }

  /// Own column, side regions, own row, column regions: the order of the forward pass.
  mutating func attend(_ o: UnsafeMutablePointer<Float>) {
    let head = layout.head
    attention.reset(query: query, scale: 1)
    if row > 0 { attendColumn(kind: 0, count: row) }
    if row > 0 && layout.sides {
      if column > 0 { attendColumn(kind: 1, count: row) }
      if column < layout.shape.segment - 1 { attendColumn(kind: 2, count: row) }
    }
    let current = past + row * rowStep
    attend(
      current + layout.keyOffset(0), head.keyStride, current + layout.valueOffset(0),
      head.valueStride, count: column + 1, bias: nil)
    if row > 0 && layout.shape.segment > 1 {
      attend(
        own + layout.regionKeys(parity: row % 2), head.keyStride,
        own + layout.regionValues(parity: row % 2), head.valueStride,
        count: layout.shape.segment, bias: UnsafePointer(diagonal.table))
    }
    attention.finish(o)
  }

  /// The first `count` rows of the position's column.
  private mutating func attendColumn(kind: Int, count: Int) {
    let head = layout.head
    attend(
      past + layout.keyOffset(kind) + column * head.keyStride, rowStep,
      past + layout.valueOffset(kind) + column * head.valueStride, rowStep, count: count, bias: nil)
  }

  private mutating func attend(
    _ keys: UnsafePointer<Float>, _ keyStride: Int, _ values: UnsafePointer<Float>,
    _ valueStride: Int, count: Int, bias: UnsafePointer<Float>?
  ) {
    attention.attend(
      keys: keys, keyStride: keyStride, valueRows: values, valueStride: valueStride,
      valuesArePacked: true, count: count, bias: bias, distance: column,
      last: layout.shape.segment, offset: 0)
  }

  /// The region of the column as the next row sees it.
  mutating func extendColumn() {
    if layout.shape.segment == 1 { return }
    let head = layout.head
    let parity = (row + 1) % 2
    let key = past + row * rowStep + layout.keyOffset(0) + column * head.keyStride
    extend(own + layout.queryPool(column), by: query, to: pooled)
    extend(
      own + layout.keyPool(column), by: key,
      to: own + layout.regionKeys(parity: parity) + column * head.keyStride)
    attention.reset(query: pooled, scale: 1)
    attendColumn(kind: 0, count: row + 1)
    writeSummary(
      own + layout.regionValues(parity: parity) + column * head.valueStride, attention.values,
      divisor: attention.sum, count: head.valueStride)
  }

  /// One more row of a running pool, and the pool it makes; the steps of `CombinerPrefixPooling`.
  private func extend(
    _ running: UnsafeMutablePointer<Float>, by x: UnsafePointer<Float>,
    to pool: UnsafeMutablePointer<Float>
  ) {
    let isMean = layout.shape.pooling == .mean
    let share = 1 / Float(row + 1)
    var index = 0
    while index < layout.head.keyStride {
      let new = load(x + index)
      let old = load(running + index)
      let next = row == 0 ? new : isMean ? old + new : maximum(old, new)
      store(next, running + index)
      store(isMean && row > 0 ? next * share : next, pool + index)
      index += 8
    }
  }
}
