import Tensor

/// `<a, b>` of packed rows, `count` a multiple of 16.
@inline(__always)
func rowDot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Float {
  var first = Lanes.zero
  var second = Lanes.zero
  var column = 0
  while column < count {
    let (a0, a1) = loadPair(a + column)
    let (b0, b1) = loadPair(b + column)
    first = first.addingProduct(a0, b0)
    second = second.addingProduct(a1, b1)
    column += 16
  }
  return horizontalSum(first + second)
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
  // Eight accumulators hide the latency of the additions.
  while column + 64 <= width {
    let to = y + column
    var (s0, s1) = loadPair(to)
    var (s2, s3) = loadPair(to + 16)
    var (s4, s5) = loadPair(to + 32)
    var (s6, s7) = loadPair(to + 48)
    var from = rows + column
    for row in 0..<count {
      let factor = Lanes(repeating: factors[row])
      s0 = s0.addingProduct(factor, load(from))
      s1 = s1.addingProduct(factor, load(from + 8))
      s2 = s2.addingProduct(factor, load(from + 16))
      s3 = s3.addingProduct(factor, load(from + 24))
      s4 = s4.addingProduct(factor, load(from + 32))
      s5 = s5.addingProduct(factor, load(from + 40))
      s6 = s6.addingProduct(factor, load(from + 48))
      s7 = s7.addingProduct(factor, load(from + 56))
      from += stride
    }
    storePair(s0, s1, to)
    storePair(s2, s3, to + 16)
    storePair(s4, s5, to + 32)
    storePair(s6, s7, to + 48)
    column += 64
  }
  while column < width {
    var (s0, s1) = loadPair(y + column)
    var from = rows + column
    for row in 0..<count {
      let factor = Lanes(repeating: factors[row])
      s0 = s0.addingProduct(factor, load(from))
      s1 = s1.addingProduct(factor, load(from + 8))
      from += stride
    }
    storePair(s0, s1, y + column)
    column += 16
  }
}

/// `rows[j] += factors[j] x`.
func addRowTo(
  _ rows: UnsafeMutablePointer<Float>, stride: Int, _ factors: UnsafePointer<Float>,
  _ x: UnsafePointer<Float>, count: Int, width: Int
) {
  for row in 0..<count {
    let factor = Lanes(repeating: factors[row])
    let to = rows + row * stride
    var column = 0
    while column < width {
      let (x0, x1) = loadPair(x + column)
      let (y0, y1) = loadPair(to + column)
      storePair(y0.addingProduct(factor, x0), y1.addingProduct(factor, x1), to + column)
      column += 16
    }
  }
}
