/// A of a tile product; element (row, k) lies at `row * rowStride + k * kStride`.
struct TileA {
  let base: UnsafePointer<Float>
  let rowStride: Int
  let kStride: Int
}

/// B of a tile product: panels of 16 columns, in each a row of 16 floats for every k.
struct TileB {
  let base: UnsafePointer<Float>
  let panelStride: Int
  let kStride: Int
}

/// C of a tile product: panels of 16 columns.
struct TileC {
  let base: UnsafeMutablePointer<Float>
  let panelStride: Int
  let rowStride: Int
}

/// `C (+)= A B` of operands that are read where they lie: the small products of attention.
///
///     c[m, n] = fma(a[m, K-1], b[K-1, n], … fma(a[m, 0], b[0, n], start))
///
/// The sum of an element runs in the order of k however many rows or columns are computed with it;
/// the prefix property and the equality of decoding and full forward pass rest on that. Rows go six
/// at a time: 12 accumulators hide the latency of two FMA units and leave registers for B. The last
/// few rows go together, too, because a row alone would wait for its own latency.
///
/// - Parameters:
///   - c: Result; `rows` rows of `panels` panels.
///   - a: `[rows, k]`.
///   - b: `[k, 16 · panels]`.
///   - rows: M.
///   - panels: N / 16.
///   - k: Terms of the sums, K.
///   - accumulate: Whether the sums start from C or from zero.
///   - prefetcher: Prefetches a little more between tiles.
func tileProduct(
  _ c: TileC, _ a: TileA, _ b: TileB, rows: Int, panels: Int, k: Int, accumulate: Bool,
  prefetcher: RowPrefetcher? = nil
) {
  if rows == 1 && panels % 4 == 0 {
    for panel in stride(from: 0, to: panels, by: 4) {
      oneRowOfFourPanels(
        c.base + panel * c.panelStride, c.panelStride, a.base, a.kStride,
        b.base + panel * b.panelStride, b.panelStride, b.kStride, k, accumulate)
    }
    return
  }
  for panel in 0..<panels {
    let right = b.base + panel * b.panelStride
    var left = a.base
    var result = c.base + panel * c.panelStride
    var remaining = rows
    while remaining >= 6 {
      prefetcher?.prefetchNext()
      sixRows(result, c.rowStride, left, a, right, b.kStride, k, accumulate)
      left += 6 * a.rowStride
      result += 6 * c.rowStride
      remaining -= 6
    }
    if remaining > 0 { prefetcher?.prefetchNext() }
    if remaining == 4 {
      fourRows(result, c.rowStride, left, a, right, b.kStride, k, accumulate)
      remaining = 0
    } else if remaining == 5 {
      threeRows(result, c.rowStride, left, a, right, b.kStride, k, accumulate)
      left += 3 * a.rowStride
      result += 3 * c.rowStride
      remaining = 2
    }
    if remaining == 1 {
      oneRow(result, left, a.kStride, right, b.kStride, k, accumulate)
    } else if remaining == 2 {
      twoRows(result, c.rowStride, left, a, right, b.kStride, k, accumulate)
    } else if remaining == 3 {
      threeRows(result, c.rowStride, left, a, right, b.kStride, k, accumulate)
    }
  }
}

private func sixRows(
  _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ first: UnsafePointer<Float>, _ a: TileA,
  _ panel: UnsafePointer<Float>, _ bStep: Int, _ k: Int, _ accumulate: Bool
) {
  var sums = accumulate ? TileSums(loading: c, stride: rowStride) : TileSums()
  let aRow = a.rowStride
  let aStep = a.kStride
  var a0 = first
  var a3 = first + 3 * aRow
  var b = panel
  for _ in 0..<k {
    sums.add(loadPair(b), a0[0], a0[aRow], a0[2 * aRow], a3[0], a3[aRow], a3[2 * aRow])
    a0 += aStep
    a3 += aStep
    b += bStep
  }
  sums.write(c, stride: rowStride)
}

private func fourRows(
  _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ first: UnsafePointer<Float>, _ a: TileA,
  _ panel: UnsafePointer<Float>, _ bStep: Int, _ k: Int, _ accumulate: Bool
) {
  var c00 = Lanes.zero
  var c01 = Lanes.zero
  var c10 = Lanes.zero
  var c11 = Lanes.zero
  var c20 = Lanes.zero
  var c21 = Lanes.zero
  var c30 = Lanes.zero
  var c31 = Lanes.zero
  if accumulate {
    (c00, c01) = loadPair(c)
    (c10, c11) = loadPair(c + rowStride)
    (c20, c21) = loadPair(c + 2 * rowStride)
    (c30, c31) = loadPair(c + 3 * rowStride)
  }
  let aRow = a.rowStride
  let aStep = a.kStride
  var a0 = first
  var a2 = first + 2 * aRow
  var b = panel
  for _ in 0..<k {
    let (b0, b1) = loadPair(b)
    fuse(&c00, &c01, a0[0], b0, b1)
    fuse(&c10, &c11, a0[aRow], b0, b1)
    fuse(&c20, &c21, a2[0], b0, b1)
    fuse(&c30, &c31, a2[aRow], b0, b1)
    a0 += aStep
    a2 += aStep
    b += bStep
  }
  storePair(c00, c01, c)
  storePair(c10, c11, c + rowStride)
  storePair(c20, c21, c + 2 * rowStride)
  storePair(c30, c31, c + 3 * rowStride)
}

private func threeRows(
  _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ first: UnsafePointer<Float>, _ a: TileA,
  _ panel: UnsafePointer<Float>, _ bStep: Int, _ k: Int, _ accumulate: Bool
) {
  var c00 = Lanes.zero
  var c01 = Lanes.zero
  var c10 = Lanes.zero
  var c11 = Lanes.zero
  var c20 = Lanes.zero
  var c21 = Lanes.zero
  if accumulate {
    (c00, c01) = loadPair(c)
    (c10, c11) = loadPair(c + rowStride)
    (c20, c21) = loadPair(c + 2 * rowStride)
  }
  let aRow = a.rowStride
  let aStep = a.kStride
  var a0 = first
  var b = panel
  for _ in 0..<k {
    let (b0, b1) = loadPair(b)
    fuse(&c00, &c01, a0[0], b0, b1)
    fuse(&c10, &c11, a0[aRow], b0, b1)
    fuse(&c20, &c21, a0[2 * aRow], b0, b1)
    a0 += aStep
    b += bStep
  }
  storePair(c00, c01, c)
  storePair(c10, c11, c + rowStride)
  storePair(c20, c21, c + 2 * rowStride)
}

private func twoRows(
  _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ first: UnsafePointer<Float>, _ a: TileA,
  _ panel: UnsafePointer<Float>, _ bStep: Int, _ k: Int, _ accumulate: Bool
) {
  var c00 = Lanes.zero
  var c01 = Lanes.zero
  var c10 = Lanes.zero
  var c11 = Lanes.zero
  if accumulate {
    (c00, c01) = loadPair(c)
    (c10, c11) = loadPair(c + rowStride)
  }
  let aRow = a.rowStride
  let aStep = a.kStride
  var a0 = first
  var b = panel
  for _ in 0..<k {
    let (b0, b1) = loadPair(b)
    fuse(&c00, &c01, a0[0], b0, b1)
    fuse(&c10, &c11, a0[aRow], b0, b1)
    a0 += aStep
    b += bStep
  }
  storePair(c00, c01, c)
  storePair(c10, c11, c + rowStride)
}

private func oneRow(
  _ c: UnsafeMutablePointer<Float>, _ first: UnsafePointer<Float>, _ aStep: Int,
  _ panel: UnsafePointer<Float>, _ bStep: Int, _ k: Int, _ accumulate: Bool
) {
  var c0 = Lanes.zero
  var c1 = Lanes.zero
  if accumulate { (c0, c1) = loadPair(c) }
  var a = first
  var b = panel
  for _ in 0..<k {
    let (b0, b1) = loadPair(b)
    fuse(&c0, &c1, a[0], b0, b1)
    a += aStep
    b += bStep
  }
  storePair(c0, c1, c)
}

/// A row alone has two accumulators in a panel: four panels together hide the latency of the units.
private func oneRowOfFourPanels(
  _ c: UnsafeMutablePointer<Float>, _ panelStride: Int, _ first: UnsafePointer<Float>,
  _ aStep: Int, _ panel: UnsafePointer<Float>, _ bPanel: Int, _ bStep: Int,
  _ k: Int, _ accumulate: Bool
) {
  var c00 = Lanes.zero
  var c01 = Lanes.zero
  var c10 = Lanes.zero
  var c11 = Lanes.zero
  var c20 = Lanes.zero
  var c21 = Lanes.zero
  var c30 = Lanes.zero
  var c31 = Lanes.zero
  if accumulate {
    (c00, c01) = loadPair(c)
    (c10, c11) = loadPair(c + panelStride)
    (c20, c21) = loadPair(c + 2 * panelStride)
    (c30, c31) = loadPair(c + 3 * panelStride)
  }
  var a = first
  var b = panel
  for _ in 0..<k {
    let (b00, b01) = loadPair(b)
    fuse(&c00, &c01, a[0], b00, b01)
    let (b10, b11) = loadPair(b + bPanel)
    fuse(&c10, &c11, a[0], b10, b11)
    let (b20, b21) = loadPair(b + 2 * bPanel)
    fuse(&c20, &c21, a[0], b20, b21)
    let (b30, b31) = loadPair(b + 3 * bPanel)
    fuse(&c30, &c31, a[0], b30, b31)
    a += aStep
    b += bStep
  }
  storePair(c00, c01, c)
  storePair(c10, c11, c + panelStride)
  storePair(c20, c21, c + 2 * panelStride)
  storePair(c30, c31, c + 3 * panelStride)
}
