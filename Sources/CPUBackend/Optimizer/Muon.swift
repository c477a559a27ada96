import Deterministic
import Host
package import Tensor

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
  ///   - step: Rate, share of the momentum that stays, decoupled weight decay.
  package func muon(parameters: View, gradients: View, momentum: View, _ step: MuonStep) {
    let (rate, beta, decay) = (step.rate, step.beta, step.decay)
    let gradientScale = step.gradientScale
    let rows = parameters.rows
    let columns = parameters.columns
    precondition(
      gradients.rows == rows && gradients.columns == columns && momentum.rows == rows
        && momentum.columns == columns && parameters.isContiguous && gradients.isContiguous
        && momentum.isContiguous,
      "Muon over [\(rows), \(columns)], gradients [\(gradients.rows), \(gradients.columns)],"
        + " momentum [\(momentum.rows), \(momentum.columns)]")
    guard parameters.count > 0 else { return }
    // Rows of one piece of elementwise work.
    let grain = max(1, (1 << 14) / columns)
    Scratch.lend(carving: { MuonMatrices(rows: rows, columns: columns, &$0) }) { matrices in
      let update = matrices.update
      parallelFor(rows, grain: grain) { range in
        for index in range.lowerBound * columns..<range.upperBound * columns {
          let g = gradients.base[index] * gradientScale
          let m = beta * momentum.base[index] + (1 - beta) * g
          momentum.base[index] = m
          update.base[index] = beta * m + (1 - beta) * g
        }
      }
      let direction = orthogonalized(matrices)
      let shrink = Float(1 - Double(rate) * Double(decay))
      let stepSize = Float(-Double(rate) * 0.2 * Double(max(rows, columns)).squareRoot())
      parallelFor(rows, grain: grain) { range in
        let p = parameters.base
        let d = direction.base
        for index in range.lowerBound * columns..<range.upperBound * columns {
          p[index] = p[index] * shrink + stepSize * d[index]
        }
      }
    }
  }

  /// Five Newton-Schulz steps of the quintic that lifts singular values between 0.01 and 1 of `x`
  /// into 0.7 to 1.2, after dividing `x` by its Frobenius norm.
  ///
  ///     A = x xᵀ,  x = (a I + b A + c A²) x              (R <= C)
  ///     A = xᵀ x,  x = x (a I + b A + c A²)              (R > C, the same with a smaller A)
  ///
  /// x is the update at first; every step writes the one of `update` and `spare` that x is not.
  ///
  /// - Returns: Which of the two holds the result.
  private func orthogonalized(_ matrices: MuonMatrices) -> View {
    let (x, gram, polynomial) = (matrices.update, matrices.gram, matrices.polynomial)
    let (a, b, c): (Float, Float, Float) = (3.4445, -4.7750, 2.0315)
    let norm = sumOfSquares(x).squareRoot()
    let scale = Float(1 / max(norm, 1e-30))
    parallelFor(x.count, grain: 1 << 14) { range in
      for index in range { x.base[index] *= scale }
    }
    let isTall = x.rows > x.columns
    let size = gram.rows
    var (from, to) = (x, matrices.spare)
    for _ in 0..<5 {
      let side: GEMMOperand = isTall ? .mnContiguous(from) : .kContiguous(from)
      gemm(c: gram, a: side, b: side, accumulate: false)
      gemm(c: polynomial, a: .kContiguous(gram), b: .mnContiguous(gram), accumulate: false)
      parallelFor(size, grain: 16) { range in
        for row in range {
          let square = polynomial.base + row * size
          let linear = gram.base + row * size
          for column in 0..<size { square[column] = c * square[column] + b * linear[column] }
          square[row] += a
        }
      }
      gemm(
        c: to, a: .kContiguous(isTall ? from : polynomial),
        b: .mnContiguous(isTall ? polynomial : from), accumulate: false)
      (from, to) = (to, from)
    }
    return from
  }
}

/// Floats of working memory that one step of Muon needs for a matrix.
package func muonScratchFloats(rows: Int, columns: Int) -> Int {
  Scratch.floats { MuonMatrices(rows: rows, columns: columns, &$0) }
}

/// Working memory of a step: two matrices of the weights' size and two squares of their short side.
private struct MuonMatrices: Sendable {
  let update: View  // [R, C]
  let spare: View  // [R, C]
  let gram: View  // [min(R, C), min(R, C)]
  let polynomial: View  // [min(R, C), min(R, C)]

  init(rows: Int, columns: Int, _ scratch: inout Scratch) {
    let short = min(rows, columns)
    update = scratch.takeView(rows: rows, columns: columns)
    spare = scratch.takeView(rows: rows, columns: columns)
    gram = scratch.takeView(rows: short, columns: short)
    polynomial = scratch.takeView(rows: short, columns: short)
  }
}
