import Host
import Tensor

/// Floor of the norm of a query or key.
let yosoLeastNorm: Float = 1e-12

/// Length of a packed row; the sum of squares is taken in one order for every width.
@inline(__always)
func rowNorm(_ row: UnsafePointer<Float>, stride: Int) -> Float {
  rowDot(row, row, count: stride).squareRoot()
}

/// Copies rows into packed rows of unit length; `norms` takes their lengths unless nil.
func packUnitRows(
  _ destination: UnsafeMutablePointer<Float>, stride: Int, _ source: UnsafePointer<Float>,
  sourceStride: Int, rows: Int, width: Int, norms: UnsafeMutablePointer<Float>? = nil
) {
  packRows(
    destination, stride: stride, source, sourceStride: sourceStride, rows: rows, width: width)
  for row in 0..<rows {
    let to = destination + row * stride
    let norm = rowNorm(to, stride: stride)
    norms?[row] = norm
    scaleRow(to, by: 1 / max(norm, yosoLeastNorm), stride: stride)
  }
}

@inline(__always)
func scaleRow(_ row: UnsafeMutablePointer<Float>, by factor: Float, stride: Int) {
  var column = 0
  while column < stride {
    store(loadWide(row + column) * factor, row + column)
    column += 16
  }
}

/// Writes a packed row of sums at unit length, or zeros where there is nothing, and returns its
/// length.
///
/// - Parameter sums: Overwritten.
func writeUnitRow(
  _ o: UnsafeMutablePointer<Float>, _ sums: UnsafeMutablePointer<Float>, stride: Int, width: Int,
  leastNorm: Float
) -> Float {
  let norm = rowNorm(sums, stride: stride)
  // Adding zero turns -0 into +0.
  writeQuotient(o, sums, divisor: max(norm, leastNorm), width: width)
  return norm
}

/// Packed rows of one sequence and head for the backward pass.
struct YosoGradientRows {
  let shape: HeadShape
  let queries: UnsafeMutablePointer<Float>  // [L, padded D], unit length
  let keys: UnsafeMutablePointer<Float>  // [L, padded D], unit length
  let values: UnsafeMutablePointer<Float>  // [L, padded E]
  let gradients: UnsafeMutablePointer<Float>  // [L, padded E], dX
  let queryNorms: UnsafeMutablePointer<Float>  // [L]
  let keyNorms: UnsafeMutablePointer<Float>  // [L]
  let queryGradients: UnsafeMutablePointer<Float>
  let keyGradients: UnsafeMutablePointer<Float>
  let valueGradients: UnsafeMutablePointer<Float>

  init(_ shape: HeadShape, longest: Int, _ scratch: inout Scratch) {
    self.shape = shape
    queries = scratch.take(longest * shape.keyStride)
    keys = scratch.take(longest * shape.keyStride)
    values = scratch.take(longest * shape.valueStride)
    // One row more: the packed output of the row at hand.
    gradients = scratch.take((longest + 1) * shape.valueStride)
    queryNorms = scratch.take(longest)
    keyNorms = scratch.take(longest)
    queryGradients = scratch.take(longest * shape.keyStride)
    keyGradients = scratch.take(longest * shape.keyStride)
    valueGradients = scratch.take(longest * shape.valueStride)
  }

  /// Gathers the rows of a sequence and clears the gradients.
  ///
  ///     dX = (dO - o <o, dO>) / |X|, zero for empty rows
  ///
  /// The factor 1 / hashes of X, which norm and weights leave out, cancels.
  func pack(
    _ q: View, _ k: View, _ v: View, _ dO: View, _ o: View, norms: UnsafePointer<Float>,
    leastNorm: Float, head: Int, first: Int, length: Int
  ) {
    let place = HeadView(first: first, head: head)
    let (q, k, v) = (place.keys(q, shape), place.keys(k, shape), place.values(v, shape))
    let (dO, o) = (place.values(dO, shape), place.values(o, shape))
    packUnitRows(
      queries, stride: shape.keyStride, q.base, sourceStride: q.stride, rows: length,
      width: shape.keyWidth, norms: queryNorms)
    packUnitRows(
      keys, stride: shape.keyStride, k.base, sourceStride: k.stride, rows: length,
      width: shape.keyWidth, norms: keyNorms)
    packRows(
      values, stride: shape.valueStride, v.base, sourceStride: v.stride, rows: length,
      width: shape.valueWidth)
    packRows(
      gradients, stride: shape.valueStride, dO.base, sourceStride: dO.stride, rows: length,
      width: shape.valueWidth)
    let output = gradients + length * shape.valueStride
    for row in 0..<length {
      packRows(
        output, stride: shape.valueStride, o[row], sourceStride: 0, rows: 1,
        width: shape.valueWidth)
      let norm = norms[row]
      projectRow(
        gradients + row * shape.valueStride, along: output,
        factor: norm > leastNorm ? 1 / norm : 0, stride: shape.valueStride)
    }
    queryGradients.update(repeating: 0, count: length * shape.keyStride)
    keyGradients.update(repeating: 0, count: length * shape.keyStride)
    valueGradients.update(repeating: 0, count: length * shape.valueStride)
  }

  /// Writes the finished gradients: those of unit queries and keys pass through the normalisation.
  ///
  /// - Parameter slope: Factor of the slopes that was left out so far.
  func write(
    _ dq: View, _ dk: View, _ dv: View, slope: Float, head: Int, first: Int, length: Int
  ) {
    let place = HeadView(first: first, head: head)
    let dv = place.values(dv, shape)
    finish(queryGradients, queries, queryNorms, slope, length, place.keys(dq, shape))
    finish(keyGradients, keys, keyNorms, slope, length, place.keys(dk, shape))
    unpackRows(
      dv.base, stride: dv.stride, valueGradients, sourceStride: shape.valueStride, rows: length,
      width: shape.valueWidth, scale: 1)
  }

  private func finish(
    _ gradients: UnsafeMutablePointer<Float>, _ units: UnsafePointer<Float>,
    _ norms: UnsafePointer<Float>, _ slope: Float, _ length: Int, _ destination: StridedRows
  ) {
    for row in 0..<length {
      projectRow(
        gradients + row * shape.keyStride, along: units + row * shape.keyStride,
        factor: norms[row] > yosoLeastNorm ? slope / norms[row] : 0, stride: shape.keyStride)
    }
    unpackRows(
      destination.base, stride: destination.stride, gradients, sourceStride: shape.keyStride,
      rows: length, width: shape.keyWidth, scale: 1)
  }
}

/// `g = factor · (g - y <y, g>)`: the gradient through the scaling of a row to unit length y.
@inline(__always)
private func projectRow(
  _ g: UnsafeMutablePointer<Float>, along y: UnsafePointer<Float>, factor: Float, stride: Int
) {
  if factor == 0 {
    g.update(repeating: 0, count: stride)
    return
  }
  let dot = WideLanes(repeating: -rowDot(g, y, count: stride))
  var column = 0
  while column < stride {
    store(loadWide(g + column).addingProduct(dot, loadWide(y + column)) * factor, g + column)
    column += 16
  }
}
