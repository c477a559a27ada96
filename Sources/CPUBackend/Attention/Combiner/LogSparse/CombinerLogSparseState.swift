import Host
import Tensor

/// Cache of dyadic blocks while a text is generated.
///
/// A later, larger block attends to its tokens anew, so all keys and values stay. A step reads one
/// key for every bit of the position; the block that it completes is built at its end.
struct CombinerLogSparseState: CombinerPatternState {
  private let shape: CombinerShape
  private let head: HeadShape
  private var length = 0
  /// Key and value of every position, `[position][head]`.
  private var tokens = [Float]()
  /// The last block of every level: pooled query, pooled key, value, `[level][head]`.
  private var levels = [Float]()

  init(_ shape: CombinerShape, _ head: HeadShape) {
    self.shape = shape
    self.head = head
  }

  var bytes: Int { (tokens.count + levels.count) * MemoryLayout<Float>.stride }

  mutating func step(o: View, q: View, k: View, v: View, projection: CombinerProjection?) {
    let position = length
    length += 1
    let (shape, head) = (shape, head)
    let completed = (~position).trailingZeroBitCount
    let levelFloats = shape.heads * (2 * head.keyStride + head.valueStride)
    tokens.append(
      contentsOf: repeatElement(0, count: shape.heads * (head.keyStride + head.valueStride)))
    if levels.count < (completed + 1) * levelFloats {
      levels.append(contentsOf: repeatElement(0, count: levelFloats))
    }
    tokens.withUnsafeMutableBufferPointer { tokens in
      levels.withUnsafeMutableBufferPointer { levels in
        guard let tokens = tokens.baseAddress, let levels = levels.baseAddress else { return }
        Scratch.lend(carving: { scratch in
          (
            AttentionRow(head, &scratch),
            CombinerSummary(head, longest: 1 << completed, &scratch),
            DyadicPanel(head, &scratch)
          )
        }) { attention, summary, gathered in
          var attention = attention
          let (keys, values) = (gathered.keys, gathered.values)
          for number in 0..<shape.heads {
            let stream = DyadicStream(shape, head, tokens: tokens, levels: levels, number: number)
            stream.push(
              position, key: k.base + number * head.keyWidth,
              value: v.base + number * head.valueWidth)
            attention.reset(query: q.base + number * head.keyWidth, scale: shape.scale)
            let count = stream.gather(position, keys: keys, values: values)
            attention.attend(
              keys: keys, keyStride: head.keyStride, valueRows: values,
              valueStride: head.valueStride, valuesArePacked: true, count: count, bias: nil,
              distance: 0, last: 0, offset: 0)
            attention.finish(o.base + number * head.valueWidth)
            stream.complete(position, query: attention.query, summary)
          }
        }
      }
    }
  }
}

/// The past of one head.
private struct DyadicStream {
  let shape: CombinerShape
  let head: HeadShape
  let tokens: UnsafeMutablePointer<Float>
  let tokenStride: Int
  let levels: UnsafeMutablePointer<Float>
  let levelStride: Int

  init(
    _ shape: CombinerShape, _ head: HeadShape, tokens: UnsafeMutablePointer<Float>,
    levels: UnsafeMutablePointer<Float>, number: Int
  ) {
    self.shape = shape
    self.head = head
    let token = head.keyStride + head.valueStride
    let level = token + head.keyStride
    self.tokens = tokens + number * token
    tokenStride = shape.heads * token
    self.levels = levels + number * level
    levelStride = shape.heads * level
  }

  private func token(_ position: Int) -> UnsafeMutablePointer<Float> {
    tokens + position * tokenStride
  }

  private func query(_ level: Int) -> UnsafeMutablePointer<Float> { levels + level * levelStride }
  private func key(_ level: Int) -> UnsafeMutablePointer<Float> { query(level) + head.keyStride }
  private func value(_ level: Int) -> UnsafeMutablePointer<Float> {
    key(level) + head.keyStride
  }

  func push(_ position: Int, key: UnsafePointer<Float>, value: UnsafePointer<Float>) {
    packRows(
      token(position), stride: head.keyStride, key, sourceStride: 0, rows: 1,
      width: head.keyWidth)
    packRows(
      token(position) + head.keyStride, stride: head.valueStride, value, sourceStride: 0, rows: 1,
      width: head.valueWidth)
  }

  /// Everything the position sees, in the order of the panels of the forward pass.
  func gather(
    _ position: Int, keys: UnsafeMutablePointer<Float>, values: UnsafeMutablePointer<Float>
  ) -> Int {
    var count = 0
    func append(_ key: UnsafePointer<Float>, _ value: UnsafePointer<Float>) {
      (keys + count * head.keyStride).update(from: key, count: head.keyStride)
      (values + count * head.valueStride).update(from: value, count: head.valueStride)
      count += 1
    }
    for seen in (position % 2 == 1 ? position - 1 : position)...position {
      append(token(seen), token(seen) + head.keyStride)
    }
    var level = 1
    while position >> level > 0 {
      if position >> level & 1 == 1 { append(key(level), value(level)) }
      level += 1
    }
    return count
  }

  /// Joins the blocks that end at the position, and builds the value of the last one.
  func complete(_ position: Int, query last: UnsafePointer<Float>, _ summary: CombinerSummary) {
    let completed = (~position).trailingZeroBitCount
    let stride = head.keyStride
    let (pooledQuery, pooledKey) = (query(completed), key(completed))
    // The highest level is free: its old block ended in a carry, or it was never there.
    for level in 0..<completed {
      CombinerPooling.join(
        pooledQuery, query(level), level == 0 ? last : UnsafePointer(pooledQuery), width: stride,
        shape.pooling)
      CombinerPooling.join(
        pooledKey, key(level), level == 0 ? token(position) : pooledKey, width: stride,
        shape.pooling)
    }
    if completed == 0 {
      pooledQuery.update(repeating: 0, count: stride)
      pooledQuery.update(from: last, count: head.keyWidth)
      pooledKey.update(from: token(position), count: stride)
      return
    }
    (pooledQuery + head.keyWidth).update(repeating: 0, count: stride - head.keyWidth)
    let start = position + 1 - 1 << completed
    summary.forward(
      value(completed), query: pooledQuery,
      CombinerSummary.Region(
        count: 1 << completed, keys: token(start), keyStride: tokenStride,
        values: token(start) + stride, valueStride: tokenStride))
  }
}
