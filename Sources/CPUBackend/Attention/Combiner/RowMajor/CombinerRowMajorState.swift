import Host
import Tensor

/// Row-major Combiner attention of one stream: its own row raw, and the summaries of every row
/// before, one address and one value for each past position.
struct CombinerRowMajorState: CombinerPatternState {
  private let shape: CombinerShape
  private let head: HeadShape
  private var length = 0
  /// Own row of every head: queries, keys, values, packed.
  private var own: [Float]  // [H, m (2 padded D + padded E)]
  /// Summaries of complete rows: addresses, values.
  private var slots: [Float] = []  // [rows, H, m (padded D + padded E)]
  /// Inputs of the own row, for projected addresses.
  private var inputs: [Float] = []  // [m, C]

  init(_ shape: CombinerShape, _ head: HeadShape) {
    self.shape = shape
    self.head = head
    own = Array(
      repeating: 0,
      count: shape.heads * shape.segment * (2 * head.keyStride + head.valueStride))
  }

  var bytes: Int {
    (own.count + slots.count + inputs.count) * MemoryLayout<Float>.stride
  }

  /// Floats of one head: of the own row, and of one row of slots.
  private var ownFloats: Int { shape.segment * (2 * head.keyStride + head.valueStride) }
  private var slotFloats: Int { shape.segment * (head.keyStride + head.valueStride) }

  mutating func step(o: View, q: View, k: View, v: View, projection: CombinerProjection?) {
    let (row, column) = length.quotientAndRemainder(dividingBy: shape.segment)
    let (shape, head, ownFloats, slotFloats) = (shape, head, ownFloats, slotFloats)
    if let projection { keepInput(projection.input, column: column) }
    own.withUnsafeMutableBufferPointer { own in
      slots.withUnsafeMutableBufferPointer { slots in
        guard let own = own.baseAddress else { return }
        let past = slots.baseAddress ?? own
        let step = CombinerRowMajorStep(shape, head, row: row, column: column)
        Scratch.lend(carving: { AttentionRow(head, &$0) }) { attention in
          var attention = attention
          for index in 0..<shape.heads {
            let own = own + index * ownFloats
            step.push(
              own, q: q.base + index * head.keyWidth, k: k.base + index * head.keyWidth,
              v: v.base + index * head.valueWidth)
            step.attend(&attention, own: own, slots: past + index * slotFloats)
            attention.finish(o.base + index * head.valueWidth)
          }
        }
      }
    }
    length += 1
    if column == shape.segment - 1 { closeRow(row, projection) }
  }

  private mutating func keepInput(_ input: View, column: Int) {
    let width = input.columns
    if inputs.isEmpty { inputs = Array(repeating: 0, count: shape.segment * width) }
    for index in 0..<width { inputs[column * width + index] = input[0, index] }
  }

  /// Summarises the row that has just become complete, as the forward pass does.
  private mutating func closeRow(_ row: Int, _ projection: CombinerProjection?) {
    let (shape, head, inputs) = (shape, head, inputs)
    let (ownFloats, slotFloats) = (ownFloats, slotFloats)
    slots.append(contentsOf: repeatElement(0, count: shape.heads * slotFloats))
    own.withUnsafeMutableBufferPointer { own in
      slots.withUnsafeMutableBufferPointer { slots in
        guard let own = own.baseAddress, let all = slots.baseAddress else { return }
        let slots = all + row * shape.heads * slotFloats
        let step = CombinerRowMajorStep(shape, head, row: row, column: 0)
        Scratch.lend(carving: { scratch in
          CombinerRowSummaries(head, shape.address, width: shape.segment, &scratch)
        }) { summaries in
          for index in 0..<shape.heads {
            step.summarise(
              summaries, own: own + index * ownFloats, slots: slots + index * slotFloats)
          }
        }
        if let projection { step.project(slots, projection, inputs: inputs) }
      }
    }
  }
}

/// Where things lie in the floats of one head, and what one position does with them.
private struct CombinerRowMajorStep {
  let shape: CombinerShape
  let head: HeadShape
  let row: Int
  let column: Int

  init(_ shape: CombinerShape, _ head: HeadShape, row: Int, column: Int) {
    self.shape = shape
    self.head = head
    self.row = row
    self.column = column
  }

  /// Offset of the keys in the own row; queries come first, values last.
  private var keys: Int { shape.segment * head.keyStride }
  private var values: Int { 2 * shape.segment * head.keyStride }

  func push(
    _ own: UnsafeMutablePointer<Float>, q: UnsafePointer<Float>, k: UnsafePointer<Float>,
    v: UnsafePointer<Float>
  ) {
    (own + column * head.keyStride).update(from: q, count: head.keyWidth)
    (own + keys + column * head.keyStride).update(from: k, count: head.keyWidth)
    (own + values + column * head.valueStride).update(from: v, count: head.valueWidth)
  }

  /// Own row, then the column's slots of the rows above; `slots` is this head's first row.
  func attend(
    _ attention: inout AttentionRow, own: UnsafePointer<Float>, slots: UnsafePointer<Float>
  ) {
    attention.reset(query: own + column * head.keyStride, scale: shape.scale)
    attention.attend(
      keys: own + keys, keyStride: head.keyStride, valueRows: own + values,
      valueStride: head.valueStride, valuesArePacked: true, count: column + 1, bias: nil,
      distance: 0, last: 0, offset: 0)
    let stride = shape.heads * shape.segment * (head.keyStride + head.valueStride)
    attention.attend(
      keys: slots + column * head.keyStride, keyStride: stride,
      valueRows: slots + shape.segment * head.keyStride + column * head.valueStride,
      valueStride: stride, valuesArePacked: true, count: row, bias: nil, distance: 0, last: 0,
      offset: 0)
  }

  func summarise(
    _ summaries: CombinerRowSummaries, own: UnsafePointer<Float>,
    slots: UnsafeMutablePointer<Float>
  ) {
    summaries.forward(
      CombinerRowSummaries.Destination(
        keys: slots, keyStep: head.keyStride, values: slots + keys, valueStep: head.valueStride),
      queries: own, queryStride: head.keyStride, scale: shape.scale, keys: own + keys,
      values: own + values)
  }

  /// Replaces the addresses of a row of slots by the projection of its values.
  func project(
    _ slots: UnsafeMutablePointer<Float>, _ projection: CombinerProjection, inputs: [Float]
  ) {
    let count = shape.segment
    let floats = count * (head.keyStride + head.valueStride)
    Scratch.lend(carving: { CombinerProjectionRows(projection, count: count, &$0) }) { rows in
      rows.input.copy(
        from: View(rows: count, columns: projection.input.columns, elements: inputs))
      for index in 0..<shape.heads {
        copyValues(
          slots + index * floats, to: rows.summaries.base + index * head.valueWidth,
          stride: rows.summaries.stride)
      }
      rows.forward()
      for index in 0..<shape.heads {
        copyKeys(
          slots + index * floats, from: rows.addresses.base + index * head.keyWidth,
          stride: rows.addresses.stride)
      }
    }
  }

  /// Values of a row of slots as unpacked rows.
  private func copyValues(
    _ slots: UnsafePointer<Float>, to rows: UnsafeMutablePointer<Float>, stride: Int
  ) {
    for column in 0..<shape.segment {
      (rows + column * stride).update(
        from: slots + keys + column * head.valueStride, count: head.valueWidth)
    }
  }

  /// Addresses of a row of slots from unpacked rows.
  private func copyKeys(
    _ slots: UnsafeMutablePointer<Float>, from rows: UnsafePointer<Float>, stride: Int
  ) {
    packRows(
      slots, stride: head.keyStride, rows, sourceStride: stride, rows: shape.segment,
      width: head.keyWidth)
  }
}
