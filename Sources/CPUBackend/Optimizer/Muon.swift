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
    Scratch.lend(carving: { MuonMatrices(rows: rows, columns: columns, form: step.form, &$0) }) {
      matrices in
      let update = matrices.update
      parallelFor(rows, grain: grain) { range in
        for index in range.lowerBound * columns..<range.upperBound * columns {
          let g = gradients.base[index] * gradientScale
          let m = beta * momentum.base[index] + (1 - beta) * g
          momentum.base[index] = m
          update.base[index] = beta * m + (1 - beta) * g
        }
      }
      normalize(matrices.update)
      let direction =
        step.form == .gram ? orthogonalizedByGram(matrices) : orthogonalized(matrices)
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

  /// Divides by the Frobenius norm, so that no singular value is above 1.
  private func normalize(_ x: View) {
    let scale = Float(1 / max(sumOfSquares(x).squareRoot(), 1e-30))
    parallelFor(x.count, grain: 1 << 14) { range in
      for index in range { x.base[index] *= scale }
    }
  }

  /// Five Newton-Schulz steps of the quintic that lifts singular values between 0.01 and 1 of `x`
  /// into 0.7 to 1.2.
  ///
  ///     A = x xᵀ,  x = (a I + b A + c A²) x              (R <= C)
  ///     A = xᵀ x,  x = x (a I + b A + c A²)              (R > C, the same with a smaller A)
  ///
  /// x is the update at first; every step writes the one of `update` and `spare` that x is not. A and A²
  /// are symmetric to the last bit: both halves add the same products in the same order.
  ///
  /// - Returns: Which of the two holds the result.
  private func orthogonalized(_ matrices: MuonMatrices) -> View {
    let (gram, polynomial) = (matrices.gram, matrices.polynomial)
    var (from, to) = (matrices.update, matrices.spare)
    let isTall = from.rows > from.columns
    for _ in 0..<5 {
      let side: GEMMOperand = isTall ? .mnContiguous(from) : .kContiguous(from)
      gemm(c: gram, a: side, b: side, accumulate: false, isSymmetric: true)
      quintic(of: gram, into: polynomial)
      gemm(
        c: to, a: .kContiguous(isTall ? from : polynomial),
        b: .mnContiguous(isTall ? polynomial : from), accumulate: false)
      (from, to) = (to, from)
    }
    return from
  }

  /// The same steps on the square of the short side, with x multiplied once at the end.
  ///
  ///     G = x xᵀ or xᵀ x;  P = a I + b G + c G²,  Q = P Q,  G = P G P;  x = Q x or x Q
  ///
  /// All of these squares are polynomials of the first G: they commute, their products are symmetric, and
  /// half of each is computed.
  ///
  /// - Returns: `spare`, which holds the result.
  private func orthogonalizedByGram(_ matrices: MuonMatrices) -> View {
    let (x, gram) = (matrices.update, matrices.gram)
    var (polynomial, spare) = (matrices.polynomial, matrices.product)
    var total = matrices.total
    let isTall = x.rows > x.columns
    func multiply(_ a: View, _ b: View, into c: View) {
      gemm(
        c: c, a: .kContiguous(a), b: .mnContiguous(b), accumulate: false, isSymmetric: true)
    }
    let side: GEMMOperand = isTall ? .mnContiguous(x) : .kContiguous(x)
    gemm(c: gram, a: side, b: side, accumulate: false, isSymmetric: true)
    for step in 0..<5 {
      quintic(of: gram, into: polynomial)
      if step > 0 {
        multiply(polynomial, total, into: spare)
        (total, spare) = (spare, total)
      }
      if step < 4 {
        multiply(polynomial, gram, into: spare)
        multiply(spare, polynomial, into: gram)
      }
      // Q is P in the first step.
      if step == 0 { (total, polynomial) = (polynomial, total) }
    }
    gemm(
      c: matrices.spare, a: .kContiguous(isTall ? x : total),
      b: .mnContiguous(isTall ? total : x), accumulate: false)
    return matrices.spare
  }

  /// `polynomial = a I + b gram + c gram²`, of a symmetric square.
  private func quintic(of gram: View, into polynomial: View) {
    let (a, b, c): (Float, Float, Float) = (3.4445, -4.7750, 2.0315)
    let size = gram.rows
    gemm(
      c: polynomial, a: .kContiguous(gram), b: .mnContiguous(gram), accumulate: false,
      isSymmetric: true)
    parallelFor(size, grain: 16) { range in
      for row in range {
        let square = polynomial.base + row * size
        let linear = gram.base + row * size
        for column in 0..<size { square[column] = c * square[column] + b * linear[column] }
        square[row] += a
      }
    }
  }
}

/// Floats of working memory that one step of Muon needs for a matrix.
package func muonScratchFloats(rows: Int, columns: Int, form: MuonForm) -> Int {
  Scratch.floats { MuonMatrices(rows: rows, columns: columns, form: form, &$0) }
}

/// Working memory of a step: two matrices of the weights' size, and two squares of their short side or
/// four.
private struct MuonMatrices: Sendable {
  let update: View  // [R, C]
  let spare: View  // [R, C]
  let gram: View  // [min(R, C), min(R, C)]
  let polynomial: View  // [min(R, C), min(R, C)]
  let total: View  // the same in Gram form, else nothing
  let product: View  // the same in Gram form, else nothing

  init(rows: Int, columns: Int, form: MuonForm, _ scratch: inout Scratch) {
    let short = min(rows, columns)
    update = scratch.takeView(rows: rows, columns: columns)
    spare = scratch.takeView(rows: rows, columns: columns)
    gram = scratch.takeView(rows: short, columns: short)
    polynomial = scratch.takeView(rows: short, columns: short)
    let more = form == .gram ? short : 0
    total = scratch.takeView(rows: more, columns: more)
    product = scratch.takeView(rows: more, columns: more)
  }
}
