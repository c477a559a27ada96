import Tensor

/// The value of a region: one pooled query attends to all of its keys.
///
///     p_j = softmax_j(<qbar, k_j>)          vbar = Σ_j p_j v_j
///     dS_j = p_j (<dvbar, v_j> - <dvbar, vbar>)
///     dqbar += Σ_j dS_j k_j                 dk_j += dS_j qbar          dv_j += p_j dvbar
///
/// `qbar` carries the scale, so its gradient is that of the unscaled query divided by the scale,
/// as in the tiles of attention. Eight keys share a step; the order of every sum follows from the
/// number of keys alone, so a summary has the same bits wherever its region lies.
struct CombinerSummary {
  let shape: HeadShape
  private let weights: UnsafeMutablePointer<Float>  // [keys], p
  private let slopes: UnsafeMutablePointer<Float>  // [keys], dS

  init(_ shape: HeadShape, longest: Int, _ scratch: inout Scratch) {
    self.shape = shape
    weights = scratch.take(longest)
    slopes = scratch.take(longest)
  }

  /// Keys and values of a region in packed rows, `keyStride` and `valueStride` floats apart.
  struct Region {
    let count: Int
    let keys: UnsafePointer<Float>
    let keyStride: Int
    let values: UnsafePointer<Float>
    let valueStride: Int
  }

  /// Gradients of the keys and values of a region, spaced like them.
  struct RegionGradients {
    let keys: UnsafeMutablePointer<Float>
    let values: UnsafeMutablePointer<Float>
  }

  /// Writes `vbar`, a packed row.
  func forward(
    _ vbar: UnsafeMutablePointer<Float>, query: UnsafePointer<Float>, _ region: Region
  ) {
    weigh(query, region)
    vbar.update(repeating: 0, count: shape.valueStride)
    addWeightedRows(
      vbar, weights, region.values, stride: region.valueStride, count: region.count,
      width: shape.valueStride)
  }

  /// Adds to the gradients of the region's keys, values and pooled query.
  func backward(
    dQuery: UnsafeMutablePointer<Float>, _ gradients: RegionGradients,
    dVbar: UnsafePointer<Float>, vbar: UnsafePointer<Float>, query: UnsafePointer<Float>,
    _ region: Region
  ) {
    weigh(query, region)
    dotProducts(
      slopes, dVbar, region.values, stride: region.valueStride, count: region.count,
      width: shape.valueStride)
    var both = Lanes.zero
    var column = 0
    while column < shape.valueStride {
      both = both.addingProduct(load(dVbar + column), load(vbar + column))
      column += 8
    }
    let mean = horizontalSum(both)
    var key = 0
    while key < region.count {
      store(load(weights + key) * (load(slopes + key) - mean), slopes + key)
      key += 8
    }
    addWeightedRows(
      dQuery, slopes, region.keys, stride: region.keyStride, count: region.count,
      width: shape.keyStride)
    addRowTo(
      gradients.keys, stride: region.keyStride, slopes, query, count: region.count,
      width: shape.keyStride)
    addRowTo(
      gradients.values, stride: region.valueStride, weights, dVbar, count: region.count,
      width: shape.valueStride)
  }

  /// Fills `weights` with p; those past the last key, up to a whole vector, become zero.
  private func weigh(_ query: UnsafePointer<Float>, _ region: Region) {
    dotProducts(
      weights, query, region.keys, stride: region.keyStride, count: region.count,
      width: shape.keyStride)
    let count = region.count
    var top = Lanes(repeating: -.infinity)
    var key = 0
    while key < count {
      let score = hideTail(finite(load(weights + key)), present: count - key)
      store(score, weights + key)
      top = maximum(top, score)
      key += 8
    }
    let largest = horizontalMax(top)
    var sum = Lanes.zero
    key = 0
    while key < count {
      let weight = exponential(load(weights + key) - largest)
      store(weight, weights + key)
      sum += weight
      key += 8
    }
    let inverse = 1 / horizontalSum(sum)
    key = 0
    while key < count {
      store(load(weights + key) * inverse, weights + key)
      key += 8
    }
  }
}

/// Bounds scores: an infinite one would make the whole summary NaN, and a query that must not see
/// the region gives it the weight zero, which does not hide a NaN.
@inline(__always)
private func finite(_ score: Lanes) -> Lanes {
  let bound: Float = 1e38
  let above = score.replacing(with: bound, where: score .> bound)
  return above.replacing(with: -bound, where: .!(above .>= -bound))
}

@inline(__always)
private func hideTail(_ score: Lanes, present: Int) -> Lanes {
  if present >= 8 { return score }
  let lanes = IntLanes(0, 1, 2, 3, 4, 5, 6, 7)
  return score.replacing(
    with: -.infinity, where: lanes .>= IntLanes(repeating: Int32(truncatingIfNeeded: present)))
}

/// `out[j] = <x, rows[j]>`, eight rows at a time; past the last row it is repeated.
private func dotProducts(
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

/// `y += Σ_j factors[j] rows[j]`, one chain for each column in the order of j.
private func addWeightedRows(
  _ y: UnsafeMutablePointer<Float>, _ factors: UnsafePointer<Float>,
  _ rows: UnsafePointer<Float>, stride: Int, count: Int, width: Int
) {
  var column = 0
  // Eight chains hide the latency of the additions.
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
private func addRowTo(
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
