import Tensor

/// `<a, b>` of packed rows, `count` a multiple of 16.
@inline(__always)
func rowDot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Float {
  var sums = WideLanes.zero
  var column = 0
  while column < count {
    sums = sums.addingProduct(loadWide(a + column), loadWide(b + column))
    column += 16
  }
  return horizontalSum(sums.lowHalf + sums.highHalf)
}

/// `<dO, o>` of strided rows.
func rowDots(
  _ dots: UnsafeMutablePointer<Float>, _ dO: UnsafePointer<Float>, strideDO: Int,
  _ o: UnsafePointer<Float>, strideO: Int, rows: Int, width: Int
) {
  let whole = width / 8 * 8
  for row in 0..<rows {
    let a = dO + row * strideDO
    let b = o + row * strideO
    var lanes = Lanes.zero
    var column = 0
    while column < whole {
      lanes = lanes.addingProduct(load(a + column), load(b + column))
      column += 8
    }
    var sum = horizontalSum(lanes)
    while column < width {
      sum += a[column] * b[column]
      column += 1
    }
    dots[row] = sum
  }
}

/// `out[j] = <x, rows[j]>`, eight rows at a time; past the last row it is repeated.
func dotProducts(
  _ out: UnsafeMutablePointer<Float>, _ x: UnsafePointer<Float>, _ rows: UnsafePointer<Float>,
  stride: Int, count: Int, width: Int
) {
  var row = 0
  while row < count {
    let last = count - 1 - row
    let r0 = rows + row * stride
    let r1 = r0 + min(1, last) * stride
    let r2 = r0 + min(2, last) * stride
    let r3 = r0 + min(3, last) * stride
    let r4 = r0 + min(4, last) * stride
    let r5 = r0 + min(5, last) * stride
    let r6 = r0 + min(6, last) * stride
    let r7 = r0 + min(7, last) * stride
    var s0 = Lanes.zero
    var s1 = Lanes.zero
    var s2 = Lanes.zero
    var s3 = Lanes.zero
    var s4 = Lanes.zero
    var s5 = Lanes.zero
    var s6 = Lanes.zero
    var s7 = Lanes.zero
    var column = 0
    while column < width {
      let value = load(x + column)
      s0 = s0.addingProduct(value, load(r0 + column))
      s1 = s1.addingProduct(value, load(r1 + column))
      s2 = s2.addingProduct(value, load(r2 + column))
      s3 = s3.addingProduct(value, load(r3 + column))
      s4 = s4.addingProduct(value, load(r4 + column))
      s5 = s5.addingProduct(value, load(r5 + column))
      s6 = s6.addingProduct(value, load(r6 + column))
      s7 = s7.addingProduct(value, load(r7 + column))
      column += 8
    }
    let (a, b) = (halves(s0, s4), halves(s1, s5))
    let (c, d) = (halves(s2, s6), halves(s3, s7))
    let (low, high) = (pairs(a, b), pairs(c, d))
    let even = Lanes(low[0], low[2], high[0], high[2], low[4], low[6], high[4], high[6])
    let odd = Lanes(low[1], low[3], high[1], high[3], low[5], low[7], high[5], high[7])
    store(even + odd, out + row)
    row += 8
  }
}

/// Sums of the upper and lower half of each vector, side by side.
@inline(__always)
private func halves(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(lowHalf: a.lowHalf, highHalf: b.lowHalf) + Lanes(lowHalf: a.highHalf, highHalf: b.highHalf)
}

/// Per half, the sums of lanes two apart: two of `a`, then two of `b`.
@inline(__always)
private func pairs(_ a: Lanes, _ b: Lanes) -> Lanes {
  Lanes(a[0], a[1], b[0], b[1], a[4], a[5], b[4], b[5])
    + Lanes(a[2], a[3], b[2], b[3], a[6], a[7], b[6], b[7])
}

/// `y += Σ_j factors[j] rows[j]`, every column summed in the order of j.
func addWeightedRows(
  _ y: UnsafeMutablePointer<Float>, _ factors: UnsafePointer<Float>,
  _ rows: UnsafePointer<Float>, stride: Int, count: Int, width: Int
) {
  var column = 0
  // Sixty-four sums at once hide the latency of the additions.
  while column + 64 <= width {
    let to = y + column
    var s0 = loadWide(to)
    var s1 = loadWide(to + 16)
    var s2 = loadWide(to + 32)
    var s3 = loadWide(to + 48)
    var from = rows + column
    for row in 0..<count {
      let factor = factors[row]
      fuse(&s0, factor, loadWide(from))
      fuse(&s1, factor, loadWide(from + 16))
      fuse(&s2, factor, loadWide(from + 32))
      fuse(&s3, factor, loadWide(from + 48))
      from += stride
    }
    store(s0, to)
    store(s1, to + 16)
    store(s2, to + 32)
    store(s3, to + 48)
    column += 64
  }
  while column < width {
    var sums = loadWide(y + column)
    var from = rows + column
    for row in 0..<count {
      fuse(&sums, factors[row], loadWide(from))
      from += stride
    }
    store(sums, y + column)
    column += 16
  }
}

/// `rows[j] += factors[j] x`.
func addRowTo(
  _ rows: UnsafeMutablePointer<Float>, stride: Int, _ factors: UnsafePointer<Float>,
  _ x: UnsafePointer<Float>, count: Int, width: Int
) {
  for row in 0..<count {
    let factor = WideLanes(repeating: factors[row])
    let to = rows + row * stride
    var column = 0
    while column < width {
      store(loadWide(to + column).addingProduct(factor, loadWide(x + column)), to + column)
      column += 16
    }
  }
}
