import Host
import Tensor

/// Up to 64 rows of the backward pass against up to 64 keys of their window.
///
///     W = weights      S = W' · <dX, v>
///     dv += W dX       dk += S q             dq += S k          (q and k of unit length)
///
/// W' is W for the lower bound of the slope; its factor bits / 2 comes last.
struct YosoBackwardTile {
  private static let rows = AttentionTile.backwardRows
  private static let keys = AttentionTile.backwardKeys

  private let shape: YosoShape
  private let all: YosoGradientRows
  private let queries: UnsafeMutablePointer<Float>  // [panels, D, 16]
  private let gradients: UnsafeMutablePointer<Float>  // [panels, E, 16]
  private let weights: UnsafeMutablePointer<Float>  // [keys, rows], W
  private let slopes: UnsafeMutablePointer<Float>  // [keys, rows], S

  init(_ shape: YosoShape, _ all: YosoGradientRows, _ scratch: inout Scratch) {
    self.shape = shape
    self.all = all
    queries = scratch.take(Self.rows * all.shape.keyStride)
    gradients = scratch.take(Self.rows * all.shape.valueStride)
    weights = scratch.take(Self.rows * Self.keys)
    slopes = scratch.take(Self.rows * Self.keys)
  }

  /// Adds the gradients of all pairs inside a window.
  ///
  /// - Parameter counts: Counts to take as weights, in which case dv is left to the scan; nil for
  ///   probabilities.
  func run(length: Int, window: YosoWindow, counts: YosoCounts?) {
    for row in Swift.stride(from: 0, to: length, by: Self.rows) {
      let rows = min(Self.rows, length - row)
      pack(row: row, rows: rows, withQueries: counts == nil)
      let end = window.upper(row + rows - 1)
      // Key tiles begin at multiples of the tile, so that counts find whole vectors of codes.
      let begin = window.lower(row) / Self.keys * Self.keys
      for start in Swift.stride(from: begin, to: end, by: Self.keys) {
        let tile = start..<min(start + Self.keys, end)
        counts?.fill(weights, stride: Self.rows, row: row, rows: rows, keys: tile)
        accumulate(row: row, rows: rows, tile: tile, window: window, isCounted: counts != nil)
      }
    }
  }

  private func pack(row: Int, rows: Int, withQueries: Bool) {
    let widths = all.shape
    for first in Swift.stride(from: 0, to: rows, by: 16) {
      let present = min(16, rows - first)
      if withQueries {
        packTransposed(
          queries + first * widths.keyWidth, all.queries + (row + first) * widths.keyStride,
          sourceStride: widths.keyStride, rows: present, width: widths.keyWidth)
      }
      packTransposed(
        gradients + first * widths.valueWidth, all.gradients + (row + first) * widths.valueStride,
        sourceStride: widths.valueStride, rows: present, width: widths.valueWidth)
    }
  }

  private func accumulate(
    row: Int, rows: Int, tile: Range<Int>, window: YosoWindow, isCounted: Bool
  ) {
    var isFull = true
    for first in Swift.stride(from: 0, to: rows, by: 16) {
      let present = min(16, rows - first)
      let range = window.keys(firstRow: row + first, rows: present, tile: tile)
      if range.some != tile { isFull = false }
      if range.some.isEmpty { continue }
      differentiate(
        row: row + first, rows: present, tile: tile, range: range, window: window, panel: first,
        isCounted: isCounted)
    }
    if isFull {
      accumulateKeys(row: row, rows: rows, tile: tile, keys: tile, panel: 0, isCounted)
      return
    }
    for first in Swift.stride(from: 0, to: rows, by: 16) {
      let present = min(16, rows - first)
      let range = window.keys(firstRow: row + first, rows: present, tile: tile)
      if range.some.isEmpty { continue }
      accumulateKeys(
        row: row + first, rows: present, tile: tile, keys: range.some, panel: first, isCounted)
    }
  }

  /// Weights and slopes of one panel, and its dq.
  private func differentiate(
    row: Int, rows: Int, tile: Range<Int>, range: (some: Range<Int>, all: Range<Int>),
    window: YosoWindow, panel: Int, isCounted: Bool
  ) {
    let widths = all.shape
    let first = range.some.lowerBound
    let count = range.some.count
    let place = (first - tile.lowerBound) * Self.rows + panel
    if !isCounted {
      product(
        queries + panel * widths.keyWidth, widths.keyWidth, all.keys + first * widths.keyStride,
        widths.keyStride, weights + place, count)
    }
    product(
      gradients + panel * widths.valueWidth, widths.valueWidth,
      all.values + first * widths.valueStride, widths.valueStride, slopes + place, count)
    if !isCounted && shape.slope == .exact {
      yosoWeightsAndSlopes(
        weights + place, slopes + place, stride: Self.rows, count: count, bits: shape.bits)
    } else {
      if !isCounted {
        yosoWeights(
          weights + place, stride: Self.rows, count: count, bits: shape.bits, unit: shape.unit)
      }
      multiplyByWeights(slopes + place, weights + place, stride: Self.rows, count: count)
    }
    window.mask(weights + place, stride: Self.rows, firstRow: row, rows: rows, keys: range)
    window.mask(slopes + place, stride: Self.rows, firstRow: row, rows: rows, keys: range)
    tileProduct(
      TileC(
        base: all.queryGradients + row * widths.keyStride, panelStride: 16,
        rowStride: widths.keyStride),
      TileA(base: slopes + place, rowStride: 1, kStride: Self.rows),
      TileB(
        base: all.keys + first * widths.keyStride, panelStride: 16, kStride: widths.keyStride),
      rows: rows, panels: widths.keyStride / 16, k: count, accumulate: true)
  }

  /// `out[key, lanes] = Σ_d rows[key, d] transposed[d, lanes]`.
  private func product(
    _ transposed: UnsafePointer<Float>, _ width: Int, _ rows: UnsafePointer<Float>,
    _ rowStride: Int, _ out: UnsafeMutablePointer<Float>, _ count: Int
  ) {
    tileProduct(
      TileC(base: out, panelStride: 0, rowStride: Self.rows),
      TileA(base: rows, rowStride: rowStride, kStride: 1),
      TileB(base: transposed, panelStride: 0, kStride: 16), rows: count, panels: 1,
      k: width, accumulate: false)
  }

  /// `dk += Sᵀ q` and, unless counted, `dv += Wᵀ dX` for rows that share their keys.
  private func accumulateKeys(
    row: Int, rows: Int, tile: Range<Int>, keys: Range<Int>, panel: Int, _ isCounted: Bool
  ) {
    let widths = all.shape
    let place = (keys.lowerBound - tile.lowerBound) * Self.rows + panel
    tileProduct(
      TileC(
        base: all.keyGradients + keys.lowerBound * widths.keyStride, panelStride: 16,
        rowStride: widths.keyStride),
      TileA(base: slopes + place, rowStride: Self.rows, kStride: 1),
      TileB(
        base: all.queries + row * widths.keyStride, panelStride: 16,
        kStride: widths.keyStride), rows: keys.count, panels: widths.keyStride / 16,
      k: rows, accumulate: true)
    if isCounted { return }
    tileProduct(
      TileC(
        base: all.valueGradients + keys.lowerBound * widths.valueStride, panelStride: 16,
        rowStride: widths.valueStride),
      TileA(base: weights + place, rowStride: Self.rows, kStride: 1),
      TileB(
        base: all.gradients + row * widths.valueStride, panelStride: 16,
        kStride: widths.valueStride), rows: keys.count, panels: widths.valueStride / 16,
      k: rows, accumulate: true)
  }
}
