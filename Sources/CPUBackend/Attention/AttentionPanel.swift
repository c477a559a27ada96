import Tensor

#if canImport(Glibc)
  import Glibc
#endif

/// 16 query rows and their running softmax: maximum m, sum z, weighted sum y.
///
/// The merge of two partial sums (m, z, y) is exact for any logits because m is the row's own
/// maximum: `m = max(m1, m2)`, `z = z1 e^(m1-m) + z2 e^(m2-m)`, the same for y. An empty state is
/// (-infinity, 0, 0).
struct AttentionPanel {
  let shape: HeadShape
  /// Of what is touched after these rows.
  private let prefetcher: RowPrefetcher?
  /// Transposed queries, times the scale: `[D, 16]`.
  let queries: UnsafeMutablePointer<Float>
  let maximum: UnsafeMutablePointer<Float>  // [16]
  let sum: UnsafeMutablePointer<Float>  // [16]
  let values: UnsafeMutablePointer<Float>  // [16, padded E]
  let scores: UnsafeMutablePointer<Float>  // [keys, 16]

  init(_ shape: HeadShape, prefetcher: RowPrefetcher? = nil, _ scratch: inout Scratch) {
    self.shape = shape
    self.prefetcher = prefetcher
    queries = scratch.take(shape.keyWidth * 16)
    maximum = scratch.take(16)
    sum = scratch.take(16)
    values = scratch.take(16 * shape.valueStride)
    scores = scratch.take(16 * AttentionTile.keys)
  }

  /// Starts from nothing.
  func reset() {
    store(WideLanes(repeating: -.infinity), maximum)
    store(WideLanes.zero, sum)
    values.update(repeating: 0, count: 16 * shape.valueStride)
  }

  /// Attends to `count` keys, cut at multiples of `AttentionTile.keys`.
  ///
  /// - Parameters:
  ///   - keys: Packed rows `[count, D]` with the packed key stride.
  ///   - valueRows: Packed rows `[count, E]` with the packed value stride.
  ///   - rows: Rows in use, 1...16; the other lanes hold finite numbers that nobody reads.
  func attend(
    keys: UnsafePointer<Float>, valueRows: UnsafePointer<Float>, count: Int, bias: LaneBias,
    mask: LaneMask, rows: Int
  ) {
    var start = 0
    while start < count {
      let cut = min(AttentionTile.keys, count - start)
      let tileMask = mask.advanced(by: start)
      let visible = tileMask.visible(panel: 0, count: cut)
      if visible > 0 {
        attendTile(
          keys: keys + start * shape.keyStride, valueRows: valueRows + start * shape.valueStride,
          count: visible, bias: bias.advanced(by: start), mask: tileMask, rows: rows)
      }
      start += cut
    }
  }

  private func attendTile(
    keys: UnsafePointer<Float>, valueRows: UnsafePointer<Float>, count: Int, bias: LaneBias,
    mask: LaneMask, rows: Int
  ) {
    tileProduct(
      TileC(base: scores, panelStride: 0, rowStride: 16),
      TileA(base: keys, rowStride: shape.keyStride, kStride: 1),
      TileB(base: queries, panelStride: 0, kStride: 16), rows: count, panels: 1,
      k: shape.keyWidth, accumulate: false, prefetcher: prefetcher)
    let old = loadWide(maximum)
    let m = addBias(
      scores, stride: 16, count: count, panel: 0, bias: bias, mask: mask, maximum: old)
    // The exponential of -infinity is 0: a first tile drops the empty state.
    let alpha = exponential(old - m)
    store(m, maximum)
    store(exponentiate(scores, count: count, maximum: m, sum: loadWide(sum) * alpha), sum)
    rescale(alpha, rows: rows)
    tileProduct(
      TileC(base: values, panelStride: 16, rowStride: shape.valueStride),
      TileA(base: scores, rowStride: 1, kStride: 16),
      TileB(base: valueRows, panelStride: 16, kStride: shape.valueStride), rows: rows,
      panels: shape.valueStride / 16, k: count, accumulate: true, prefetcher: prefetcher)
  }

  private func rescale(_ alpha: WideLanes, rows: Int) {
    let stride = shape.valueStride
    for row in 0..<rows {
      let factor = WideLanes(repeating: alpha[row])
      let y = values + row * stride
      var column = 0
      while column < stride {
        store(loadWide(y + column) * factor, y + column)
        column += 16
      }
    }
  }

  /// Writes `o = y / z` and `lse = m + ln z` of the first `rows` rows.
  func finish(
    o: UnsafeMutablePointer<Float>, stride: Int, lse: UnsafeMutablePointer<Float>,
    lseStride: Int = 1, rows: Int
  ) {
    for row in 0..<rows {
      writeQuotient(
        o + row * stride, values + row * shape.valueStride, divisor: sum[row],
        width: shape.valueWidth)
      lse[row * lseStride] = logSumExp(row)
    }
  }

  /// Natural log of a row's softmax denominator.
  func logSumExp(_ row: Int) -> Float { maximum[row] + log(sum[row]) }
}

/// Replaces the scores of sixteen rows by `e^(s - m)` and adds them to the sums, key after key.
///
/// A function of its own: of two exponentials in one loop the compiler would leave one as a call.
private func exponentiate(
  _ scores: UnsafeMutablePointer<Float>, count: Int, maximum: WideLanes, sum: WideLanes
) -> WideLanes {
  var sum = sum
  for key in 0..<count {
    let weight = exponential(loadWide(scores + 16 * key) - maximum)
    store(weight, scores + 16 * key)
    sum += weight
  }
  return sum
}
