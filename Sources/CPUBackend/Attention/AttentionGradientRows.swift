import Host
import Tensor

/// Packed rows of one sequence and head for the backward pass.
struct AttentionGradientRows {
  let shape: HeadShape
  let queries: UnsafeMutablePointer<Float>  // [L, padded D], times the scale
  let keys: UnsafeMutablePointer<Float>  // [L, padded D]
  let values: UnsafeMutablePointer<Float>  // [L, padded E]
  let gradients: UnsafeMutablePointer<Float>  // [L, padded E], dO
  let lse: UnsafeMutablePointer<Float>  // [L]
  let dots: UnsafeMutablePointer<Float>  // [L], <dO, o>
  let queryGradients: UnsafeMutablePointer<Float>
  let keyGradients: UnsafeMutablePointer<Float>
  let valueGradients: UnsafeMutablePointer<Float>

  init(_ shape: HeadShape, longest: Int, _ scratch: inout Scratch) {
    self.shape = shape
    queries = scratch.take(longest * shape.keyStride)
    keys = scratch.take(longest * shape.keyStride)
    values = scratch.take(longest * shape.valueStride)
    gradients = scratch.take(longest * shape.valueStride)
    lse = scratch.take(longest)
    dots = scratch.take(longest)
    queryGradients = scratch.take(longest * shape.keyStride)
    keyGradients = scratch.take(longest * shape.keyStride)
    valueGradients = scratch.take(longest * shape.valueStride)
  }

  /// Gathers positions `range` of a sequence that begins at row `first`, and clears their gradients.
  func pack(
    _ q: View, _ k: View, _ v: View, _ dO: View, _ o: View, _ lse: View, head: Int, first: Int,
    range: Range<Int>, scale: Float
  ) {
    packInputs(q, k, v, head: head, first: first, range: range, scale: scale)
    let place = HeadView(first: first + range.lowerBound, head: head)
    let (dO, o) = (place.values(dO, shape), place.values(o, shape))
    let length = range.count
    let keyStart = range.lowerBound * shape.keyStride
    let valueStart = range.lowerBound * shape.valueStride
    packRows(
      gradients + valueStart, stride: shape.valueStride, dO.base, sourceStride: dO.stride,
      rows: length, width: shape.valueWidth)
    (self.lse + range.lowerBound).update(
      from: lse.base + head * lse.stride + place.first, count: length)
    rowDots(
      dots + range.lowerBound, dO.base, strideDO: dO.stride, o.base, strideO: o.stride,
      rows: length, width: shape.valueWidth)
    (queryGradients + keyStart).update(repeating: 0, count: length * shape.keyStride)
    (keyGradients + keyStart).update(repeating: 0, count: length * shape.keyStride)
    (valueGradients + valueStart).update(repeating: 0, count: length * shape.valueStride)
  }

  /// Gathers queries, keys and values alone.
  func packInputs(
    _ q: View, _ k: View, _ v: View, head: Int, first: Int, range: Range<Int>, scale: Float
  ) {
    let place = HeadView(first: first + range.lowerBound, head: head)
    let (q, k, v) = (place.keys(q, shape), place.keys(k, shape), place.values(v, shape))
    let keyStart = range.lowerBound * shape.keyStride
    packRows(
      queries + keyStart, stride: shape.keyStride, q.base, sourceStride: q.stride,
      rows: range.count, width: shape.keyWidth, scale: scale)
    packRows(
      keys + keyStart, stride: shape.keyStride, k.base, sourceStride: k.stride,
      rows: range.count, width: shape.keyWidth)
    packRows(
      values + range.lowerBound * shape.valueStride, stride: shape.valueStride, v.base,
      sourceStride: v.stride, rows: range.count, width: shape.valueWidth)
  }

  /// Query rows `row..<row + count`.
  func rows(from row: Int, count: Int) -> AttentionBackwardTile.Rows {
    let query = row * shape.keyStride
    return AttentionBackwardTile.Rows(
      count: count, queries: queries + query, queryStride: shape.keyStride,
      gradients: gradients + row * shape.valueStride, gradientStride: shape.valueStride,
      lse: lse + row, dots: dots + row, queryGradients: queryGradients + query)
  }

  /// Key rows `row..<row + count`.
  func range(from row: Int, count: Int) -> AttentionBackwardTile.Range {
    AttentionBackwardTile.Range(
      count: count, keys: keys + row * shape.keyStride, values: values + row * shape.valueStride,
      keyGradients: keyGradients + row * shape.keyStride,
      valueGradients: valueGradients + row * shape.valueStride)
  }

  /// Writes the finished gradients of the sequence; `accumulate` adds them.
  func write(
    _ dq: View, _ dk: View, _ dv: View, head: Int, first: Int, length: Int, scale: Float,
    accumulate: Bool = false
  ) {
    let place = HeadView(first: first, head: head)
    func unpack(
      _ rows: StridedRows, _ source: UnsafePointer<Float>, _ sourceStride: Int, _ width: Int,
      _ scale: Float
    ) {
      let copy = accumulate ? addUnpackedRows : unpackRows
      copy(rows.base, rows.stride, source, sourceStride, length, width, scale)
    }
    unpack(place.keys(dq, shape), queryGradients, shape.keyStride, shape.keyWidth, scale)
    unpack(place.keys(dk, shape), keyGradients, shape.keyStride, shape.keyWidth, 1)
    unpack(
      place.values(dv, shape), valueGradients, shape.valueStride, shape.valueWidth, 1)
  }
}
