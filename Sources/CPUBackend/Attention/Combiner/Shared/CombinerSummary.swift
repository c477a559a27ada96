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

/// Writes `y / divisor` of a summary, `count` a multiple of 16, zero where it is not finite.
///
/// A row that must not see a summary gives it the weight zero, which would not hide a NaN. Scores
/// that overflow still reach the output of every row that does see them, by its direct keys.
@inline(__always)
func writeSummary(
  _ summary: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, divisor: Float, count: Int
) {
  let inverse = 1 / divisor
  let bound: Float = .greatestFiniteMagnitude
  var column = 0
  while column < count {
    let value = load(y + column) * inverse + 0
    let isFinite = (value .<= bound) .& (value .>= -bound)
    store(Lanes.zero.replacing(with: value, where: isFinite), summary + column)
    column += 8
  }
}

extension AttentionGradientRows {
  /// Packed rows of a region.
  func region(from row: Int, count: Int) -> CombinerSummary.Region {
    CombinerSummary.Region(
      count: count, keys: keys + row * shape.keyStride, keyStride: shape.keyStride,
      values: values + row * shape.valueStride, valueStride: shape.valueStride)
  }

  /// Gradients of a region's rows.
  func regionGradients(from row: Int) -> CombinerSummary.RegionGradients {
    CombinerSummary.RegionGradients(
      keys: keyGradients + row * shape.keyStride, values: valueGradients + row * shape.valueStride)
  }
}
