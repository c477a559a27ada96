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
/// at a time, twelve with AVX-512, and there panels by two: so many sums hide the latency of two FMA
/// units and leave registers for B. The last few rows go together, too, because a row alone would wait
/// for its own latency.
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
  let product = TileProduct(c: c, a: a, b: b, k: k, accumulate: accumulate)
  if rows == 1 && panels % 4 == 0 {
    for panel in stride(from: 0, to: panels, by: 4) { product.oneRowOfFourPanels(panel) }
    return
  }
  var panel = 0
  #if AVX512
    while panel + 2 <= panels {
      product.twoPanels(panel, rows: rows, prefetcher)
      panel += 2
    }
  #endif
  while panel < panels {
    product.onePanel(panel, rows: rows, prefetcher)
    panel += 1
  }
}

/// One product and how it is cut into tiles.
private struct TileProduct {
  let c: TileC
  let a: TileA
  let b: TileB
  let k: Int
  let accumulate: Bool

  @inline(never)
  func onePanel(_ panel: Int, rows: Int, _ prefetcher: RowPrefetcher?) {
    run(panel, rows: rows, areTwo: false, prefetcher)
  }

  @inline(never)
  func twoPanels(_ panel: Int, rows: Int, _ prefetcher: RowPrefetcher?) {
    run(panel, rows: rows, areTwo: true, prefetcher)
  }

  /// All rows of one panel or of two; inlined, so that their number is a constant.
  @inline(__always)
  private func run(_ panel: Int, rows: Int, areTwo: Bool, _ prefetcher: RowPrefetcher?) {
    var row = 0
    #if AVX512
      while rows - row >= 12 {
        prefetcher?.prefetchNext()
        twelveRows(row, panel, areTwo: areTwo)
        row += 12
      }
    #endif
    while rows - row >= 6 {
      prefetcher?.prefetchNext()
      sixRows(row, panel, areTwo: areTwo)
      row += 6
    }
    if row < rows { prefetcher?.prefetchNext() }
    switch rows - row {
    case 5:
      threeRows(row, panel, areTwo: areTwo)
      twoRows(row + 3, panel, areTwo: areTwo)
    case 4: fourRows(row, panel, areTwo: areTwo)
    case 3: threeRows(row, panel, areTwo: areTwo)
    case 2: twoRows(row, panel, areTwo: areTwo)
    case 1: oneRow(row, panel, areTwo: areTwo)
    default: break
    }
  }

  @inline(__always)
  private func start(_ row: Int, _ panel: Int) -> UnsafeMutablePointer<Float> {
    c.base + row * c.rowStride + panel * c.panelStride
  }

  @inline(__always)
  private func sums(_ c: UnsafeMutablePointer<Float>) -> TileSums {
    accumulate ? TileSums(loading: c, stride: self.c.rowStride) : TileSums()
  }

  @inline(__always)
  private func row(_ c: UnsafeMutablePointer<Float>) -> WideLanes {
    accumulate ? loadWide(c) : WideLanes.zero
  }

  #if AVX512
    @inline(__always)
    private func twelveRows(_ row: Int, _ panel: Int, areTwo: Bool) {
      let c0 = start(row, panel)
      let c1 = c0 + c.panelStride
      let below = 6 * c.rowStride
      var first = sums(c0)
      var under = sums(c0 + below)
      var right = areTwo ? sums(c1) : TileSums()
      var last = areTwo ? sums(c1 + below) : TileSums()
      let aRow = a.rowStride
      var a0 = a.base + row * aRow
      var b0 = b.base + panel * b.panelStride
      let next = b.panelStride
      for _ in 0..<k {
        let a3 = a0 + 3 * aRow
        let a6 = a0 + 6 * aRow
        let a9 = a3 + 6 * aRow
        let x = loadWide(b0)
        if areTwo {
          let y = loadWide(b0 + next)
          TileSums.add(
            &first, &right, x, y, a0[0], a0[aRow], a0[2 * aRow], a3[0], a3[aRow], a3[2 * aRow])
          TileSums.add(
            &under, &last, x, y, a6[0], a6[aRow], a6[2 * aRow], a9[0], a9[aRow], a9[2 * aRow])
        } else {
          first.add(x, a0[0], a0[aRow], a0[2 * aRow], a3[0], a3[aRow], a3[2 * aRow])
          under.add(x, a6[0], a6[aRow], a6[2 * aRow], a9[0], a9[aRow], a9[2 * aRow])
        }
        a0 += a.kStride
        b0 += b.kStride
      }
      first.write(c0, stride: c.rowStride)
      under.write(c0 + below, stride: c.rowStride)
      if areTwo {
        right.write(c1, stride: c.rowStride)
        last.write(c1 + below, stride: c.rowStride)
      }
    }
  #endif

  @inline(__always)
  private func sixRows(_ row: Int, _ panel: Int, areTwo: Bool) {
    let c0 = start(row, panel)
    let c1 = c0 + c.panelStride
    var first = sums(c0)
    var right = areTwo ? sums(c1) : TileSums()
    let aRow = a.rowStride
    var a0 = a.base + row * aRow
    var a3 = a0 + 3 * aRow
    var b0 = b.base + panel * b.panelStride
    for _ in 0..<k {
      let x = loadWide(b0)
      if areTwo {
        TileSums.add(
          &first, &right, x, loadWide(b0 + b.panelStride), a0[0], a0[aRow], a0[2 * aRow], a3[0],
          a3[aRow], a3[2 * aRow])
      } else {
        first.add(x, a0[0], a0[aRow], a0[2 * aRow], a3[0], a3[aRow], a3[2 * aRow])
      }
      a0 += a.kStride
      a3 += a.kStride
      b0 += b.kStride
    }
    first.write(c0, stride: c.rowStride)
    if areTwo { right.write(c1, stride: c.rowStride) }
  }

  @inline(__always)
  private func fourRows(_ row: Int, _ panel: Int, areTwo: Bool) {
    let c0 = start(row, panel)
    let c1 = c0 + c.panelStride
    let step = c.rowStride
    var (x0, x1) = (self.row(c0), self.row(c0 + step))
    var (x2, x3) = (self.row(c0 + 2 * step), self.row(c0 + 3 * step))
    var (y0, y1) = areTwo ? (self.row(c1), self.row(c1 + step)) : (.zero, .zero)
    var (y2, y3) = areTwo ? (self.row(c1 + 2 * step), self.row(c1 + 3 * step)) : (.zero, .zero)
    let aRow = a.rowStride
    var a0 = a.base + row * aRow
    var a2 = a0 + 2 * aRow
    var b0 = b.base + panel * b.panelStride
    for _ in 0..<k {
      let x = loadWide(b0)
      if areTwo {
        let y = loadWide(b0 + b.panelStride)
        fuse(&x0, &y0, a0[0], x, y)
        fuse(&x1, &y1, a0[aRow], x, y)
        fuse(&x2, &y2, a2[0], x, y)
        fuse(&x3, &y3, a2[aRow], x, y)
      } else {
        fuse(&x0, a0[0], x)
        fuse(&x1, a0[aRow], x)
        fuse(&x2, a2[0], x)
        fuse(&x3, a2[aRow], x)
      }
      a0 += a.kStride
      a2 += a.kStride
      b0 += b.kStride
    }
    store(x0, c0)
    store(x1, c0 + step)
    store(x2, c0 + 2 * step)
    store(x3, c0 + 3 * step)
    guard areTwo else { return }
    store(y0, c1)
    store(y1, c1 + step)
    store(y2, c1 + 2 * step)
    store(y3, c1 + 3 * step)
  }

  @inline(__always)
  private func threeRows(_ row: Int, _ panel: Int, areTwo: Bool) {
    let c0 = start(row, panel)
    let c1 = c0 + c.panelStride
    let step = c.rowStride
    var (x0, x1, x2) = (self.row(c0), self.row(c0 + step), self.row(c0 + 2 * step))
    var (y0, y1) = areTwo ? (self.row(c1), self.row(c1 + step)) : (.zero, .zero)
    var y2 = areTwo ? self.row(c1 + 2 * step) : .zero
    let aRow = a.rowStride
    var a0 = a.base + row * aRow
    var b0 = b.base + panel * b.panelStride
    for _ in 0..<k {
      let x = loadWide(b0)
      fuse(&x0, a0[0], x)
      fuse(&x1, a0[aRow], x)
      fuse(&x2, a0[2 * aRow], x)
      if areTwo {
        let y = loadWide(b0 + b.panelStride)
        fuse(&y0, a0[0], y)
        fuse(&y1, a0[aRow], y)
        fuse(&y2, a0[2 * aRow], y)
      }
      a0 += a.kStride
      b0 += b.kStride
    }
    store(x0, c0)
    store(x1, c0 + step)
    store(x2, c0 + 2 * step)
    guard areTwo else { return }
    store(y0, c1)
    store(y1, c1 + step)
    store(y2, c1 + 2 * step)
  }

  @inline(__always)
  private func twoRows(_ row: Int, _ panel: Int, areTwo: Bool) {
    let c0 = start(row, panel)
    let c1 = c0 + c.panelStride
    let step = c.rowStride
    var (x0, x1) = (self.row(c0), self.row(c0 + step))
    var (y0, y1) = areTwo ? (self.row(c1), self.row(c1 + step)) : (.zero, .zero)
    let aRow = a.rowStride
    var a0 = a.base + row * aRow
    var b0 = b.base + panel * b.panelStride
    for _ in 0..<k {
      let x = loadWide(b0)
      fuse(&x0, a0[0], x)
      fuse(&x1, a0[aRow], x)
      if areTwo {
        let y = loadWide(b0 + b.panelStride)
        fuse(&y0, a0[0], y)
        fuse(&y1, a0[aRow], y)
      }
      a0 += a.kStride
      b0 += b.kStride
    }
    store(x0, c0)
    store(x1, c0 + step)
    guard areTwo else { return }
    store(y0, c1)
    store(y1, c1 + step)
  }

  @inline(__always)
  private func oneRow(_ row: Int, _ panel: Int, areTwo: Bool) {
    let c0 = start(row, panel)
    let c1 = c0 + c.panelStride
    var x0 = self.row(c0)
    var y0 = areTwo ? self.row(c1) : .zero
    var a0 = a.base + row * a.rowStride
    var b0 = b.base + panel * b.panelStride
    for _ in 0..<k {
      fuse(&x0, a0[0], loadWide(b0))
      if areTwo { fuse(&y0, a0[0], loadWide(b0 + b.panelStride)) }
      a0 += a.kStride
      b0 += b.kStride
    }
    store(x0, c0)
    if areTwo { store(y0, c1) }
  }

  /// A row alone has one sum in a panel: four panels together hide the latency of the units.
  func oneRowOfFourPanels(_ panel: Int) {
    let c0 = start(0, panel)
    let step = c.panelStride
    var (x0, x1) = (row(c0), row(c0 + step))
    var (x2, x3) = (row(c0 + 2 * step), row(c0 + 3 * step))
    var a0 = a.base
    var b0 = b.base + panel * b.panelStride
    for _ in 0..<k {
      let factor = a0[0]
      fuse(&x0, factor, loadWide(b0))
      fuse(&x1, factor, loadWide(b0 + b.panelStride))
      fuse(&x2, factor, loadWide(b0 + 2 * b.panelStride))
      fuse(&x3, factor, loadWide(b0 + 3 * b.panelStride))
      a0 += a.kStride
      b0 += b.kStride
    }
    store(x0, c0)
    store(x1, c0 + step)
    store(x2, c0 + 2 * step)
    store(x3, c0 + 3 * step)
  }
}
