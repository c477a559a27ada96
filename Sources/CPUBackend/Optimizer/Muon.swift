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
  /// One step on several matrices, which do not depend on each other.
  ///
  ///     m = b m + (1-b) g,  u = b m + (1-b) g                 (Nesterov)
  ///     p = p · (1 - rate · decay) - rate · 0.2 · sqrt(max(R, C)) · orthogonal(u)
  ///
  /// A gradient and momentum of zero leave a direction of zero. A small matrix is too little work for
  /// many threads: several are moved at a time, every loop over all of them.
  ///
  /// - Parameters:
  ///   - matrices: Weights, gradients and momentum; weights and momentum are moved in place.
  ///   - step: Rate, share of the momentum that stays, decoupled weight decay.
  package func muon(_ matrices: [MuonMatrix], _ step: MuonStep) {
    let matrices = matrices.filter { $0.parameters.count > 0 }
    for group in muonGroups(matrices.map { ($0.rows, $0.columns) }, form: step.form) {
      move(Array(matrices[group]), step)
    }
  }

  private func move(_ matrices: [MuonMatrix], _ step: MuonStep) {
    let (beta, gradientScale) = (step.beta, step.gradientScale)
    let carve = { (scratch: inout Scratch) in
      matrices.map { MuonMemory(rows: $0.rows, columns: $0.columns, form: step.form, &scratch) }
    }
    Scratch.lend(carving: carve) { memory in
      forEachPiece(of: matrices.map(\.parameters)) { job, range in
        let gradients = matrices[job].gradients.base
        let momentum = matrices[job].momentum.base
        let update = memory[job].update.base
        for index in range {
          let g = gradients[index] * gradientScale
          let m = beta * momentum[index] + (1 - beta) * g
          momentum[index] = m
          update[index] = beta * m + (1 - beta) * g
        }
      }
      normalize(memory.map(\.update))
      let directions =
        step.form == .gram ? orthogonalizedByGram(memory) : orthogonalized(memory)
      let shrink = Float(1 - Double(step.rate) * Double(step.decay))
      forEachPiece(of: matrices.map(\.parameters)) { job, range in
        let longest = Double(max(matrices[job].rows, matrices[job].columns))
        let stepSize = Float(-Double(step.rate) * 0.2 * longest.squareRoot())
        let p = matrices[job].parameters.base
        let d = directions[job].base
        for index in range { p[index] = p[index] * shrink + stepSize * d[index] }
      }
    }
  }

  /// Divides each by its Frobenius norm, so that no singular value is above 1.
  private func normalize(_ views: [View]) {
    let scales = sumsOfSquares(views).map { Float(1 / max($0.squareRoot(), 1e-30)) }
    forEachPiece(of: views) { job, range in
      let (x, scale) = (views[job].base, scales[job])
      for index in range { x[index] *= scale }
    }
  }

  /// Elements of contiguous views, in pieces of 16,384 at most.
  private func forEachPiece(of views: [View], _ body: @Sendable (Int, Range<Int>) -> Void) {
    let grain = 1 << 14
    parallelFor(jobs: views.map { ($0.count + grain - 1) / grain }) { job, piece in
      body(job, piece * grain..<min(views[job].count, (piece + 1) * grain))
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
  /// - Returns: Which of the two holds the result, for each matrix.
  private func orthogonalized(_ memory: [MuonMemory]) -> [View] {
    let (grams, polynomials) = (memory.map(\.gram), memory.map(\.polynomial))
    var (from, to) = (memory.map(\.update), memory.map(\.spare))
    for _ in 0..<5 {
      gemm(sideBySide: zip(from, grams).map { square($0, into: $1) })
      quintic(of: grams, into: polynomials)
      gemm(sideBySide: memory.indices.map { product(polynomials[$0], from[$0], into: to[$0]) })
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
  /// - Returns: `spare` of each matrix, which holds the result.
  private func orthogonalizedByGram(_ memory: [MuonMemory]) -> [View] {
    let grams = memory.map(\.gram)
    var (polynomials, spares) = (memory.map(\.polynomial), memory.map(\.product))
    var totals = memory.map(\.total)
    func multiply(_ a: [View], _ b: [View], into c: [View]) {
      gemm(
        sideBySide: a.indices.map {
          GEMMProduct(
            c: c[$0], a: .kContiguous(a[$0]), b: .mnContiguous(b[$0]), isSymmetric: true)
        })
    }
    gemm(sideBySide: memory.map { square($0.update, into: $0.gram) })
    for step in 0..<5 {
      quintic(of: grams, into: polynomials)
      if step > 0 {
        multiply(polynomials, totals, into: spares)
        (totals, spares) = (spares, totals)
      }
      if step < 4 {
        multiply(polynomials, grams, into: spares)
        multiply(spares, polynomials, into: grams)
      }
      // Q is P in the first step.
      if step == 0 { (totals, polynomials) = (polynomials, totals) }
    }
    gemm(
      sideBySide: memory.indices.map {
        product(totals[$0], memory[$0].update, into: memory[$0].spare)
      })
    return memory.map(\.spare)
  }

  /// `x xᵀ`, or `xᵀ x` where that is smaller.
  private func square(_ x: View, into gram: View) -> GEMMProduct {
    let side: GEMMOperand = x.rows > x.columns ? .mnContiguous(x) : .kContiguous(x)
    return GEMMProduct(c: gram, a: side, b: side, isSymmetric: true)
  }

  /// `square · x`, or `x · square` where that is the side of the square.
  private func product(_ square: View, _ x: View, into y: View) -> GEMMProduct {
    let isTall = x.rows > x.columns
    return GEMMProduct(
      c: y, a: .kContiguous(isTall ? x : square), b: .mnContiguous(isTall ? square : x),
      isSymmetric: false)
  }

  /// `polynomial = a I + b gram + c gram²`, of symmetric squares.
  private func quintic(of grams: [View], into polynomials: [View]) {
    let (a, b, c): (Float, Float, Float) = (3.4445, -4.7750, 2.0315)
    gemm(
      sideBySide: zip(grams, polynomials).map { gram, polynomial in
        GEMMProduct(
          c: polynomial, a: .kContiguous(gram), b: .mnContiguous(gram), isSymmetric: true)
      })
    parallelFor(jobs: grams.map { ($0.rows + 15) / 16 }) { job, piece in
      let size = grams[job].rows
      for row in 16 * piece..<min(size, 16 * piece + 16) {
        let square = polynomials[job].base + row * size
        let linear = grams[job].base + row * size
        for column in 0..<size { square[column] = c * square[column] + b * linear[column] }
        square[row] += a
      }
    }
  }
}

/// Which matrices are moved at a time, in their order.
///
/// As many as give every thread eight pieces of a product, within 1 MiB of working memory a thread: two
/// threads take one matrix of 192 at a time, 64 threads all of a small decoder. A matrix has the same bits
/// in any group, so that this may follow the number of threads.
private func muonGroups(_ shapes: [(rows: Int, columns: Int)], form: MuonForm) -> [Range<Int>] {
  var groups: [Range<Int>] = []
  var (first, pieces, floats) = (0, 0, 0)
  for (index, shape) in shapes.enumerated() {
    let short = min(shape.rows, shape.columns)
    let own = Scratch.floats {
      MuonMemory(rows: shape.rows, columns: shape.columns, form: form, &$0)
    }
    if index > first,
      pieces >= 8 * Parallel.threads || floats + own > Parallel.threads << 18
    {
      groups.append(first..<index)
      (first, pieces, floats) = (index, 0, 0)
    }
    pieces += max(1, short / 24) * max(1, short / 128)
    floats += own
  }
  if first < shapes.count { groups.append(first..<shapes.count) }
  return groups
}

/// Floats of working memory that one step of Muon needs for matrices of these shapes: of its own, and of
/// packed panels at the same time.
package func muonScratchFloats(
  _ shapes: [(rows: Int, columns: Int)], form: MuonForm
) -> (matrices: Int, panels: Int) {
  var most = (matrices: 0, panels: 0)
  for group in muonGroups(shapes, form: form) {
    let own = Scratch.floats { scratch in
      for shape in shapes[group] {
        _ = MuonMemory(rows: shape.rows, columns: shape.columns, form: form, &scratch)
      }
    }
    // The products with the most panels: of the matrices by themselves, or by the squares.
    let panels = shapes[group].reduce(0) { sum, shape in
      let (short, long) = (min(shape.rows, shape.columns), max(shape.rows, shape.columns))
      return sum
        + max(
          sideBySidePanelFloats([(short, long)]), sideBySidePanelFloats([(long, short)]))
    }
    most = (max(most.matrices, own), max(most.panels, panels))
  }
  return most
}

/// Working memory of a step: two matrices of the weights' size, and two squares of their short side or
/// four.
private struct MuonMemory: Sendable {
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
