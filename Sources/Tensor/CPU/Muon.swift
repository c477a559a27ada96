/// Muon: the momentum of a matrix is made orthogonal before it moves the weights (Jordan et al.,
/// 2024, kellerjordan.github.io/posts/muon).
///
/// The update of a matrix then has singular values near 1 in every direction, where AdamW's is
/// dominated by few. Scaled by `0.2 · sqrt(max(R, C))` its elements are as large as AdamW's, so that
/// both share one rate and one decay (Liu et al., 2025, arXiv 2502.16982, eq. 4).
extension CPUKernels {
  /// One step on one matrix.
  ///
  ///     m = b m + (1-b) g,  u = b m + (1-b) g                 (Nesterov)
  ///     p = p · (1 - rate · decay) - rate · 0.2 · sqrt(max(R, C)) · orthogonal(u)
  ///
  /// A gradient and momentum of zero leave a direction of zero.
  ///
  /// - Parameters:
  ///   - parameters: `[R, C]`, contiguous; moved in place.
  ///   - gradients: `[R, C]`, contiguous.
  ///   - momentum: `[R, C]`, contiguous; moved in place.
  ///   - rate: Learning rate of this step.
  ///   - beta: Share of the momentum that stays.
  ///   - decay: Weight decay, decoupled.
  ///   - gradientScale: Multiplies every gradient first (clipping).
  package func muon(
    parameters: View, gradients: View, momentum: View, rate: Float, beta: Float, decay: Float,
    gradientScale: Float
  ) {
    let rows = parameters.rows
    let columns = parameters.columns
    precondition(
      gradients.rows == rows && gradients.columns == columns && momentum.rows == rows
        && momentum.columns == columns && parameters.isContiguous && gradients.isContiguous
        && momentum.isContiguous,
      "Muon over [\(rows), \(columns)], gradients [\(gradients.rows), \(gradients.columns)],"
        + " momentum [\(momentum.rows), \(momentum.columns)]")
    guard parameters.count > 0 else { return }
    let plan = MuonPlan(rows: rows, columns: columns)
    ScratchPool.borrow(plan.floats) { scratch in
      let first = plan.matrix(scratch, 0)
      let second = plan.matrix(scratch, 1)
      // Both end as the matrix itself; between, tall matrices are worked on transposed.
      let update = View(first.buffer, offset: first.offset, rows: rows, columns: columns)
      parallelFor(rows, grain: plan.grain) { range in
        let b = beta
        for index in range.lowerBound * columns..<range.upperBound * columns {
          let g = gradients.base[index] * gradientScale
          let m = b * momentum.base[index] + (1 - b) * g
          momentum.base[index] = m
          update.base[index] = b * m + (1 - b) * g
        }
      }
      let start = plan.isTransposed ? second : first
      if plan.isTransposed { transpose(update, into: start) }
      let end = orthogonalized(
        start, spare: plan.isTransposed ? first : second, gram: plan.square(scratch, 0),
        polynomial: plan.square(scratch, 1))
      let shrink = Float(1 - Double(rate) * Double(decay))
      let pace = Float(-Double(rate) * 0.2 * Double(max(rows, columns)).squareRoot())
      let (rowStride, columnStride) = plan.isTransposed ? (1, end.stride) : (end.stride, 1)
      parallelFor(rows, grain: plan.grain) { range in
        for row in range {
          let p = parameters.base + row * columns
          let from = end.base + row * rowStride
          for column in 0..<columns {
            p[column] = p[column] * shrink + pace * from[column * columnStride]
          }
        }
      }
    }
  }

  /// Five Newton-Schulz steps of the quintic that lifts singular values between 0.01 and 1 of `x`
  /// into 0.7 to 1.2, after dividing `x` by its Frobenius norm.
  ///
  ///     A = x xᵀ,  x = (a I + b A + c A²) x
  ///
  /// - Returns: Which of `x` and `spare`, both `[r, c]` with r <= c, holds the result.
  private func orthogonalized(_ x: View, spare: View, gram: View, polynomial: View) -> View {
    let (a, b, c): (Float, Float, Float) = (3.4445, -4.7750, 2.0315)
    let norm = sumOfSquares(x).squareRoot()
    let scale = Float(1 / max(norm, 1e-30))
    parallelFor(x.count, grain: 1 << 14) { range in
      for index in range { x.base[index] *= scale }
    }
    let rows = x.rows
    var (from, to) = (x, spare)
    for _ in 0..<5 {
      packedProduct(
        y: gram, left: .placeMajor(from), right: .placeMajor(from), accumulate: false)
      packedProduct(
        y: polynomial, left: .placeMajor(gram), right: .stepMajor(gram), accumulate: false)
      parallelFor(rows, grain: 16) { range in
        for row in range {
          let square = polynomial.base + row * rows
          let linear = gram.base + row * rows
          for column in 0..<rows { square[column] = c * square[column] + b * linear[column] }
          square[row] += a
        }
      }
      packedProduct(
        y: to, left: .placeMajor(polynomial), right: .stepMajor(from), accumulate: false)
      (from, to) = (to, from)
    }
    return from
  }
}

/// Floats of working memory that one step of Muon needs for a matrix.
package func muonScratchFloats(rows: Int, columns: Int) -> Int {
  MuonPlan(rows: rows, columns: columns).floats
}

/// Where the matrices of a step lie in its working memory: two of the weights' size, wide side
/// along the rows, and two squares of the short side.
private struct MuonPlan {
  let short: Int
  let long: Int
  let isTransposed: Bool

  init(rows: Int, columns: Int) {
    short = min(rows, columns)
    long = max(rows, columns)
    isTransposed = rows > columns
  }

  /// Rows of one piece of elementwise work.
  var grain: Int { max(1, (1 << 14) / max(1, isTransposed ? short : long)) }

  var floats: Int { 2 * short * long + 2 * short * short }

  func matrix(_ scratch: Buffer, _ index: Int) -> View {
    View(scratch, offset: index * short * long, rows: short, columns: long)
  }

  func square(_ scratch: Buffer, _ index: Int) -> View {
    View(
      scratch, offset: 2 * short * long + index * short * short, rows: short, columns: short)
  }
}

/// `to [C, R] = from [R, C]` transposed, both contiguous.
private func transpose(_ from: View, into to: View) {
  let (rows, columns) = (from.rows, from.columns)
  parallelFor(columns, grain: 16) { range in
    for row in 0..<rows {
      for column in range { to.base[column * rows + row] = from.base[row * columns + column] }
    }
  }
}
