import Host
import Tensor

/// Cache of fixed segments while a text is generated: the keys and values of its own segment, two
/// running pools, and one key and value for every segment before, O(m + L/m).
struct CombinerFixedState: CombinerPatternState {
  private let shape: CombinerShape
  private let head: HeadShape
  private var length = 0
  /// Pools of queries and keys, then keys and values of the own segment, head after head.
  private var own: [Float]
  /// Key and value of every region, `[region][head]`.
  private var slots = [Float]()

  init(_ shape: CombinerShape, _ head: HeadShape) {
    self.shape = shape
    self.head = head
    own = []
  }

  var bytes: Int { (own.count + slots.count) * MemoryLayout<Float>.stride }

  /// Floats of one position or region of one head.
  private var pairFloats: Int { head.keyStride + head.valueStride }

  mutating func step(o: View, q: View, k: View, v: View, projection: CombinerProjection?) {
    let row = length % shape.segment
    grow(toRows: row + 1)
    length += 1
    let isLast = row == shape.segment - 1
    let slotCount = slots.count / (shape.heads * pairFloats)
    if isLast { slots.append(contentsOf: repeatElement(0, count: shape.heads * pairFloats)) }
    let (shape, head, rowFloats) = (shape, head, shape.heads * pairFloats)
    own.withUnsafeMutableBufferPointer { own in
      slots.withUnsafeMutableBufferPointer { slots in
        guard let own = own.baseAddress else { return }
        Scratch.lend(carving: { scratch in
          (
            AttentionRow(head, &scratch),
            CombinerSummary(head, longest: shape.segment, &scratch)
          )
        }) { attention, summary in
          var attention = attention
          for number in 0..<shape.heads {
            let segment = CombinerFixedSegment(own, shape, head, number: number)
            attention.reset(query: q.base + number * head.keyWidth, scale: shape.scale)
            segment.push(
              row, query: attention.query, key: k.base + number * head.keyWidth,
              value: v.base + number * head.valueWidth)
            if let slots = slots.baseAddress, slotCount > 0 {
              let from = slots + number * (head.keyStride + head.valueStride)
              attention.attend(
                keys: from, keyStride: rowFloats, valueRows: from + head.keyStride,
                valueStride: rowFloats, valuesArePacked: true, count: slotCount, bias: nil,
                distance: 0, last: 0, offset: 0)
            }
            segment.attend(&attention, count: row + 1)
            attention.finish(o.base + number * head.valueWidth)
            if isLast, let slots = slots.baseAddress {
              segment.summarise(
                slots + slotCount * rowFloats + number * (head.keyStride + head.valueStride),
                summary)
            }
          }
        }
      }
    }
  }

  /// Makes room for a row of the own segment: short texts do not pay for a whole segment.
  private mutating func grow(toRows rows: Int) {
    let rowFloats = shape.heads * pairFloats
    let fixed = 2 * shape.heads * head.keyStride
    if own.isEmpty { own = [Float](repeating: 0, count: fixed) }
    if own.count < fixed + rows * rowFloats {
      own.append(contentsOf: repeatElement(0, count: rowFloats))
    }
  }
}

/// The own segment of one head.
private struct CombinerFixedSegment {
  let shape: CombinerShape
  let head: HeadShape
  let queryPool: UnsafeMutablePointer<Float>
  let keyPool: UnsafeMutablePointer<Float>
  let keys: UnsafeMutablePointer<Float>
  let values: UnsafeMutablePointer<Float>
  /// Floats from one position to the next.
  let stride: Int

  init(
    _ base: UnsafeMutablePointer<Float>, _ shape: CombinerShape, _ head: HeadShape, number: Int
  ) {
    self.shape = shape
    self.head = head
    queryPool = base + 2 * number * head.keyStride
    keyPool = queryPool + head.keyStride
    keys = base + 2 * shape.heads * head.keyStride + number * (head.keyStride + head.valueStride)
    values = keys + head.keyStride
    stride = shape.heads * (head.keyStride + head.valueStride)
  }

  /// Stores a position; `query` carries the scale.
  func push(
    _ row: Int, query: UnsafePointer<Float>, key: UnsafePointer<Float>,
    value: UnsafePointer<Float>
  ) {
    packRows(
      keys + row * stride, stride: head.keyStride, key, sourceStride: 0, rows: 1,
      width: head.keyWidth)
    packRows(
      values + row * stride, stride: head.valueStride, value, sourceStride: 0, rows: 1,
      width: head.valueWidth)
    CombinerPooling.append(
      keyPool, keys + row * stride, isFirst: row == 0, width: head.keyStride, shape.pooling)
    // The values of the row that follows the query in its scratch are not zero: channel by channel.
    let isMaximum = shape.pooling == .max
    for column in 0..<head.keyWidth {
      let (old, new) = (queryPool[column], query[column])
      let joined = isMaximum ? (new > old ? new : old) : old + new
      queryPool[column] = row == 0 ? new : joined
    }
  }

  func attend(_ attention: inout AttentionRow, count: Int) {
    attention.attend(
      keys: keys, keyStride: stride, valueRows: values, valueStride: stride,
      valuesArePacked: true, count: count, bias: nil, distance: 0, last: 0, offset: 0)
  }

  /// Writes the key and value that stand for the finished segment.
  func summarise(_ slot: UnsafeMutablePointer<Float>, _ summary: CombinerSummary) {
    CombinerPooling.finish(
      queryPool, count: shape.segment, width: head.keyStride, shape.pooling)
    CombinerPooling.finish(keyPool, count: shape.segment, width: head.keyStride, shape.pooling)
    slot.update(from: keyPool, count: head.keyStride)
    summary.forward(
      slot + head.keyStride, query: queryPool,
      CombinerSummary.Region(
        count: shape.segment, keys: keys, keyStride: stride, values: values, valueStride: stride))
  }
}
