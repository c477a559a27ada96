import Tensor

/// Up to 64 query rows of the backward pass and the scores they share with up to 64 keys.
///
///     P = exp(s - lse)             dS = P · (<dO, v> - <dO, o>)
///     dv += P dO                   dk += dS · scale q             dq += dS k   (scale comes last)
///
/// Scores lie as `[keys, rows]` like in the forward pass.
struct AttentionBackwardTile {
  let shape: HeadShape
  /// Of what is touched after this tile.
  private let prefetcher: RowPrefetcher?
  private let queries: UnsafeMutablePointer<Float>  // [panels, D, 16]
  private let gradients: UnsafeMutablePointer<Float>  // [panels, E, 16]
  private let lse: UnsafeMutablePointer<Float>  // [rows]
  private let dots: UnsafeMutablePointer<Float>  // [rows]
  private let weights: UnsafeMutablePointer<Float>  // [keys, rows], P
  private let slopes: UnsafeMutablePointer<Float>  // [keys, rows], dS

  init(_ shape: HeadShape, prefetcher: RowPrefetcher? = nil, _ scratch: inout Scratch) {
    self.shape = shape
    self.prefetcher = prefetcher
    let rows = AttentionTile.backwardRows
    queries = scratch.take(rows * shape.keyWidth)
    gradients = scratch.take(rows * shape.valueWidth)
    lse = scratch.take(rows)
    dots = scratch.take(rows)
    weights = scratch.take(rows * AttentionTile.backwardKeys)
    slopes = scratch.take(rows * AttentionTile.backwardKeys)
  }

  /// The packed rows a tile works on; strides in floats.
  struct Rows {
    let count: Int
    /// Queries, times the scale.
    let queries: UnsafePointer<Float>
    let queryStride: Int
    let gradients: UnsafePointer<Float>
    let gradientStride: Int
    let lse: UnsafePointer<Float>
    /// `<dO, o>` of every row.
    let dots: UnsafePointer<Float>
    /// Gradient of the unscaled queries, divided by the scale; spaced like the queries.
    let queryGradients: UnsafeMutablePointer<Float>
  }

  /// Keys and values of a range and their gradients, packed rows.
  struct Range {
    let count: Int
    let keys: UnsafePointer<Float>
    let values: UnsafePointer<Float>
    let keyGradients: UnsafeMutablePointer<Float>
    let valueGradients: UnsafeMutablePointer<Float>
  }

  /// Packs the rows; missing lanes get weight zero by an infinite lse.
  func pack(_ rows: Rows) {
    var row = 0
    while row < rows.count {
      let present = min(16, rows.count - row)
      packTransposed(
        queries + row * shape.keyWidth, rows.queries + row * rows.queryStride,
        sourceStride: rows.queryStride, rows: present, width: shape.keyWidth)
      packTransposed(
        gradients + row * shape.valueWidth, rows.gradients + row * rows.gradientStride,
        sourceStride: rows.gradientStride, rows: present, width: shape.valueWidth)
      for lane in 0..<16 {
        lse[row + lane] = lane < present ? rows.lse[row + lane] : .infinity
        dots[row + lane] = lane < present ? rows.dots[row + lane] : 0
      }
      row += 16
    }
  }

  /// Adds what the packed rows and a range of keys give to each other's gradients.
  func accumulate(_ rows: Rows, _ range: Range, bias: LaneBias, mask: LaneMask) {
    var start = 0
    while start < range.count {
      let cut = min(AttentionTile.backwardKeys, range.count - start)
      let keyOffset = start * shape.keyStride
      let valueOffset = start * shape.valueStride
      let part = Range(
        count: cut, keys: range.keys + keyOffset, values: range.values + valueOffset,
        keyGradients: range.keyGradients + keyOffset,
        valueGradients: range.valueGradients + valueOffset)
      accumulateTile(rows, part, bias.advanced(by: start), mask.advanced(by: start))
      start += cut
    }
  }

  private func accumulateTile(_ rows: Rows, _ range: Range, _ bias: LaneBias, _ mask: LaneMask) {
    let panels = (rows.count + 15) / 16
    let stride = 16 * panels
    for panel in 0..<panels {
      let visible = mask.visible(panel: panel, count: range.count)
      if visible == 0 { continue }
      product(queries, shape.keyWidth, panel, range.keys, shape.keyStride, weights, stride, visible)
      product(
        gradients, shape.valueWidth, panel, range.values, shape.valueStride, slopes, stride,
        visible)
      differentiate(panel: panel, stride: stride, count: visible, bias: bias, mask: mask)
      tileProduct(
        TileC(
          base: rows.queryGradients + 16 * panel * rows.queryStride, panelStride: 16,
          rowStride: rows.queryStride),
        TileA(base: slopes + 16 * panel, rowStride: 1, kStride: stride),
        TileB(base: range.keys, panelStride: 16, kStride: shape.keyStride),
        rows: min(16, rows.count - 16 * panel), panels: shape.keyStride / 16, k: visible,
        accumulate: true, prefetcher: prefetcher)
    }
    accumulateKeys(rows, range, mask, panels: panels, stride: stride)
  }

  /// `out[key, panel lanes] = Σ_d rows[key, d] transposed[panel, d, lanes]`.
  private func product(
    _ transposed: UnsafePointer<Float>, _ width: Int, _ panel: Int, _ keyRows: UnsafePointer<Float>,
    _ keyStride: Int, _ out: UnsafeMutablePointer<Float>, _ outStride: Int, _ count: Int
  ) {
    tileProduct(
      TileC(base: out + 16 * panel, panelStride: 0, rowStride: outStride),
      TileA(base: keyRows, rowStride: keyStride, kStride: 1),
      TileB(base: transposed + panel * width * 16, panelStride: 0, kStride: 16),
      rows: count, panels: 1, k: width, accumulate: false, prefetcher: prefetcher)
  }

  /// Turns scores into P and `<dO, v>` into dS, and sums dS by distance.
  private func differentiate(
    panel: Int, stride: Int, count: Int, bias: LaneBias, mask: LaneMask
  ) {
    let weights = weights + 16 * panel
    let slopes = slopes + 16 * panel
    _ = addBias(
      weights, stride: stride, count: count, panel: panel, bias: bias, mask: mask,
      maximum: .zero)
    weightsAndSlopes(
      weights, slopes, stride: stride, count: count, lse: loadWide(lse + 16 * panel),
      dots: loadWide(dots + 16 * panel))
    guard let gradient = bias.gradient else { return }
    let first = bias.first(panel: panel)
    for key in 0..<count {
      let row = gradient + 16 * min(first - key, bias.last)
      store(loadWide(row) + loadWide(slopes + key * stride), row)
    }
  }

  /// `dk += dSᵀ q` and `dv += Pᵀ dO`, for each key over the rows that see it.
  ///
  /// Later panels see at least the keys of earlier ones, so the keys fall into runs that share
  /// their first panel.
  private func accumulateKeys(
    _ rows: Rows, _ range: Range, _ mask: LaneMask, panels: Int, stride: Int
  ) {
    var key = 0
    for panel in 0..<panels {
      let visible = mask.visible(panel: panel, count: range.count)
      if visible <= key { continue }
      let row = 16 * panel
      let start = key * stride + row
      tileProduct(
        TileC(
          base: range.valueGradients + key * shape.valueStride, panelStride: 16,
          rowStride: shape.valueStride),
        TileA(base: weights + start, rowStride: stride, kStride: 1),
        TileB(
          base: rows.gradients + row * rows.gradientStride, panelStride: 16,
          kStride: rows.gradientStride), rows: visible - key, panels: shape.valueStride / 16,
        k: rows.count - row, accumulate: true, prefetcher: prefetcher)
      tileProduct(
        TileC(
          base: range.keyGradients + key * shape.keyStride, panelStride: 16,
          rowStride: shape.keyStride),
        TileA(base: slopes + start, rowStride: stride, kStride: 1),
        TileB(
          base: rows.queries + row * rows.queryStride, panelStride: 16,
          kStride: rows.queryStride), rows: visible - key, panels: shape.keyStride / 16,
        k: rows.count - row, accumulate: true, prefetcher: prefetcher)
      key = visible
    }
  }
}

/// `P = exp(s - lse)` and `dS = P · (<dO, v> - <dO, o>)`, in place, 16 rows by `count` keys.
///
/// A function of its own: of two exponentials in one loop the compiler would leave one as a call.
private func weightsAndSlopes(
  _ weights: UnsafeMutablePointer<Float>, _ slopes: UnsafeMutablePointer<Float>, stride: Int,
  count: Int, lse: WideLanes, dots: WideLanes
) {
  for key in 0..<count {
    let weight = exponential(loadWide(weights + key * stride) - lse)
    store(weight, weights + key * stride)
    store(weight * (loadWide(slopes + key * stride) - dots), slopes + key * stride)
  }
}
