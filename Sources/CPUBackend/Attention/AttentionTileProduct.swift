/// Left operand of a tile product; element (row, step) lies at `row * rowStride + step * stepStride`.
struct TileLeft {
  let base: UnsafePointer<Float>
  let rowStride: Int
  let stepStride: Int
}

/// Right operand of a tile product: panels of 16 columns, one row of 16 floats per step.
struct TileRight {
  let base: UnsafePointer<Float>
  let panelStride: Int
  let stepStride: Int
}

/// Result of a tile product: panels of 16 columns.
struct TileResult {
  let base: UnsafeMutablePointer<Float>
  let panelStride: Int
  let rowStride: Int
}

/// Small matrix product `c (+)= a b` whose every element is one chain of fused multiply-adds.
///
///     c[r, n] = fma(a[r, K-1], b[K-1, n], … fma(a[r, 0], b[0, n], start))
///
/// The chain of an element does not depend on how many rows or columns are computed with it; the
/// prefix property and the equality of decoding and full forward pass rest on that. Rows go six
/// at a time: 12 accumulators hide the latency of two FMA units and leave registers for b. Fewer
/// wait for one another's latency, so the rest goes together, not row by row.
///
/// - Parameters:
///   - panels: Columns / 16.
///   - depth: Steps of the chain.
///   - accumulate: Starts the chains from `c` instead of zero.
///   - ahead: Asked for more between the tiles.
func tileProduct(
  _ c: TileResult, _ a: TileLeft, _ b: TileRight, rows: Int, panels: Int, depth: Int,
  accumulate: Bool, ahead: RowsAhead? = nil
) {
  if rows == 1 && panels % 4 == 0 {
    for panel in stride(from: 0, to: panels, by: 4) {
      oneRowOfFourPanels(
        c.base + panel * c.panelStride, c.panelStride, a.base, a.stepStride,
        b.base + panel * b.panelStride, b.panelStride, b.stepStride, depth, accumulate)
    }
    return
  }
  for panel in 0..<panels {
    let right = b.base + panel * b.panelStride
    var left = a.base
    var result = c.base + panel * c.panelStride
    var remaining = rows
    while remaining >= 6 {
      ahead?.step()
      sixRows(result, c.rowStride, left, a, right, b.stepStride, depth, accumulate)
      left += 6 * a.rowStride
      result += 6 * c.rowStride
      remaining -= 6
    }
    if remaining > 0 { ahead?.step() }
    if remaining == 4 {
      fourRows(result, c.rowStride, left, a, right, b.stepStride, depth, accumulate)
      remaining = 0
    } else if remaining == 5 {
      threeRows(result, c.rowStride, left, a, right, b.stepStride, depth, accumulate)
      left += 3 * a.rowStride
      result += 3 * c.rowStride
      remaining = 2
    }
    if remaining == 1 {
      oneRow(result, left, a.stepStride, right, b.stepStride, depth, accumulate)
    } else if remaining == 2 {
      twoRows(result, c.rowStride, left, a, right, b.stepStride, depth, accumulate)
    } else if remaining == 3 {
      threeRows(result, c.rowStride, left, a, right, b.stepStride, depth, accumulate)
    }
  }
}

private func sixRows(
  _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ left: UnsafePointer<Float>, _ a: TileLeft,
  _ right: UnsafePointer<Float>, _ rightStep: Int, _ depth: Int, _ accumulate: Bool
) {
  var c00 = Lanes.zero
  var c01 = Lanes.zero
  var c10 = Lanes.zero
  var c11 = Lanes.zero
  var c20 = Lanes.zero
  var c21 = Lanes.zero
  var c30 = Lanes.zero
  var c31 = Lanes.zero
  var c40 = Lanes.zero
  var c41 = Lanes.zero
  var c50 = Lanes.zero
  var c51 = Lanes.zero
  if accumulate {
    (c00, c01) = loadPair(c)
    (c10, c11) = loadPair(c + rowStride)
    (c20, c21) = loadPair(c + 2 * rowStride)
    (c30, c31) = loadPair(c + 3 * rowStride)
    (c40, c41) = loadPair(c + 4 * rowStride)
    (c50, c51) = loadPair(c + 5 * rowStride)
  }
  let leftRow = a.rowStride
  let leftStep = a.stepStride
  var a0 = left
  var a3 = left + 3 * leftRow
  var b = right
  for _ in 0..<depth {
    let (b0, b1) = loadPair(b)
    fuse(&c00, &c01, a0[0], b0, b1)
    fuse(&c10, &c11, a0[leftRow], b0, b1)
    fuse(&c20, &c21, a0[2 * leftRow], b0, b1)
    fuse(&c30, &c31, a3[0], b0, b1)
    fuse(&c40, &c41, a3[leftRow], b0, b1)
    fuse(&c50, &c51, a3[2 * leftRow], b0, b1)
    a0 += leftStep
    a3 += leftStep
    b += rightStep
  }
  storePair(c00, c01, c)
  storePair(c10, c11, c + rowStride)
  storePair(c20, c21, c + 2 * rowStride)
  storePair(c30, c31, c + 3 * rowStride)
  storePair(c40, c41, c + 4 * rowStride)
  storePair(c50, c51, c + 5 * rowStride)
}

private func fourRows(
  _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ left: UnsafePointer<Float>, _ a: TileLeft,
  _ right: UnsafePointer<Float>, _ rightStep: Int, _ depth: Int, _ accumulate: Bool
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
  let leftRow = a.rowStride
  let leftStep = a.stepStride
  var a0 = left
  var a2 = left + 2 * leftRow
  var b = right
  for _ in 0..<depth {
    let (b0, b1) = loadPair(b)
    fuse(&c00, &c01, a0[0], b0, b1)
    fuse(&c10, &c11, a0[leftRow], b0, b1)
    fuse(&c20, &c21, a2[0], b0, b1)
    fuse(&c30, &c31, a2[leftRow], b0, b1)
    a0 += leftStep
    a2 += leftStep
    b += rightStep
  }
  storePair(c00, c01, c)
  storePair(c10, c11, c + rowStride)
  storePair(c20, c21, c + 2 * rowStride)
  storePair(c30, c31, c + 3 * rowStride)
}

private func threeRows(
  _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ left: UnsafePointer<Float>, _ a: TileLeft,
  _ right: UnsafePointer<Float>, _ rightStep: Int, _ depth: Int, _ accumulate: Bool
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
  let leftRow = a.rowStride
  let leftStep = a.stepStride
  var a0 = left
  var b = right
  for _ in 0..<depth {
    let (b0, b1) = loadPair(b)
    fuse(&c00, &c01, a0[0], b0, b1)
    fuse(&c10, &c11, a0[leftRow], b0, b1)
    fuse(&c20, &c21, a0[2 * leftRow], b0, b1)
    a0 += leftStep
    b += rightStep
  }
  storePair(c00, c01, c)
  storePair(c10, c11, c + rowStride)
  storePair(c20, c21, c + 2 * rowStride)
}

private func twoRows(
  _ c: UnsafeMutablePointer<Float>, _ rowStride: Int, _ left: UnsafePointer<Float>, _ a: TileLeft,
  _ right: UnsafePointer<Float>, _ rightStep: Int, _ depth: Int, _ accumulate: Bool
) {
  var c00 = Lanes.zero
  var c01 = Lanes.zero
  var c10 = Lanes.zero
  var c11 = Lanes.zero
  if accumulate {
    (c00, c01) = loadPair(c)
    (c10, c11) = loadPair(c + rowStride)
  }
  let leftRow = a.rowStride
  let leftStep = a.stepStride
  var a0 = left
  var b = right
  for _ in 0..<depth {
    let (b0, b1) = loadPair(b)
    fuse(&c00, &c01, a0[0], b0, b1)
    fuse(&c10, &c11, a0[leftRow], b0, b1)
    a0 += leftStep
    b += rightStep
  }
  storePair(c00, c01, c)
  storePair(c10, c11, c + rowStride)
}

private func oneRow(
  _ c: UnsafeMutablePointer<Float>, _ left: UnsafePointer<Float>, _ leftStep: Int,
  _ right: UnsafePointer<Float>, _ rightStep: Int, _ depth: Int, _ accumulate: Bool
) {
  var c0 = Lanes.zero
  var c1 = Lanes.zero
  if accumulate { (c0, c1) = loadPair(c) }
  var a = left
  var b = right
  for _ in 0..<depth {
    let (b0, b1) = loadPair(b)
    fuse(&c0, &c1, a[0], b0, b1)
    a += leftStep
    b += rightStep
  }
  storePair(c0, c1, c)
}

/// A row alone has two chains in a panel: four panels together hide the latency of the units.
private func oneRowOfFourPanels(
  _ c: UnsafeMutablePointer<Float>, _ panelStride: Int, _ left: UnsafePointer<Float>,
  _ leftStep: Int, _ right: UnsafePointer<Float>, _ rightPanel: Int, _ rightStep: Int,
  _ depth: Int, _ accumulate: Bool
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
  var a = left
  var b = right
  for _ in 0..<depth {
    let (b00, b01) = loadPair(b)
    fuse(&c00, &c01, a[0], b00, b01)
    let (b10, b11) = loadPair(b + rightPanel)
    fuse(&c10, &c11, a[0], b10, b11)
    let (b20, b21) = loadPair(b + 2 * rightPanel)
    fuse(&c20, &c21, a[0], b20, b21)
    let (b30, b31) = loadPair(b + 3 * rightPanel)
    fuse(&c30, &c31, a[0], b30, b31)
    a += leftStep
    b += rightStep
  }
  storePair(c00, c01, c)
  storePair(c10, c11, c + panelStride)
  storePair(c20, c21, c + 2 * panelStride)
  storePair(c30, c31, c + 3 * panelStride)
}

// Always inlined: in the innermost loops a call would spill every accumulator.

@inline(__always)
private func fuse(_ c0: inout Lanes, _ c1: inout Lanes, _ a: Float, _ b0: Lanes, _ b1: Lanes) {
  let broadcast = Lanes(repeating: a)
  c0 = c0.addingProduct(broadcast, b0)
  c1 = c1.addingProduct(broadcast, b1)
}

/// Loads the two vectors of one panel row.
@inline(__always)
func loadPair(_ pointer: UnsafePointer<Float>) -> (Lanes, Lanes) {
  (load(pointer), load(pointer + 8))
}

/// Stores the two vectors of one panel row.
@inline(__always)
func storePair(_ first: Lanes, _ second: Lanes, _ pointer: UnsafeMutablePointer<Float>) {
  store(first, pointer)
  store(second, pointer + 8)
}
