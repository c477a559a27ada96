package import Tensor

/// Muon (Jordan et al., 2024); the mathematics is with ``Kernels/muon(_:_:)``
/// of the contract and with the processor's.
extension GPUKernels {
  package func muon(_ matrices: [MuonMatrix], _ step: MuonStep) {
    for matrix in matrices where matrix.parameters.count > 0 { muon(matrix, step) }
  }

  private func muon(_ matrix: MuonMatrix, _ step: MuonStep) {
    let (parameters, gradients, momentum) = (matrix.parameters, matrix.gradients, matrix.momentum)
    let (rows, columns) = (matrix.rows, matrix.columns)
    scratch.lendViews(Self.muonShapes(rows: rows, columns: columns, form: step.form)) { parts in
      driver.launch(
        GPUKernel("muon", "muon_momentum"), grid: .eights(of: momentum), parts[0].matrix,
        momentum.matrix, gradients.matrix, step.beta, step.gradientScale)
      normalize(parts[0])
      let direction = step.form == .gram ? orthogonalizedByGram(parts) : orthogonalized(parts)
      driver.launch(
        GPUKernel("muon", "muon_move"), grid: .eights(of: parameters), parameters.matrix,
        direction.matrix, Float(1 - Double(step.rate) * Double(step.decay)),
        Float(-Double(step.rate) * 0.2 * Double(max(rows, columns)).squareRoot()))
    }
  }

  /// The update and a spare of its shape, and two squares of its short side, or four in Gram form.
  static func muonShapes(
    rows: Int, columns: Int, form: MuonForm
  ) -> [(rows: Int, columns: Int)] {
    let short = min(rows, columns)
    return [(rows, columns), (rows, columns)]
      + Array(repeating: (short, short), count: form == .gram ? 4 : 2)
  }

  /// Divides by the Frobenius norm.
  private func normalize(_ x: View) {
    withSumOfSquares(x.flat(0..<x.count)) { squares in
      driver.launch(GPUKernel("muon", "muon_normalize"), grid: .eights(of: x), x.matrix, squares)
    }
  }

  private func product(_ c: View, _ a: GPUProduct.Operand, _ b: GPUProduct.Operand) {
    multiply(GPUProduct(c, a, b, accumulate: false, rowsAreIndependent: false))
  }

  /// `polynomial = a I + b gram + c gram²`.
  private func quintic(of gram: View, into polynomial: View) {
    product(polynomial, .init(gram), .init(gram))
    driver.launch(
      GPUKernel("muon", "muon_polynomial"), grid: .eights(of: polynomial), polynomial.matrix,
      gram.matrix, Float(3.4445), Float(-4.7750), Float(2.0315))
  }

  /// Five steps of the quintic.
  ///
  /// - Returns: Which of the first two holds the result.
  private func orthogonalized(_ parts: [View]) -> View {
    var (from, to) = (parts[0], parts[1])
    let (gram, polynomial) = (parts[2], parts[3])
    let isTall = from.rows > from.columns
    for _ in 0..<5 {
      product(gram, .init(from, isTransposed: isTall), .init(from, isTransposed: !isTall))
      quintic(of: gram, into: polynomial)
      if isTall {
        product(to, .init(from), .init(polynomial))
      } else {
        product(to, .init(polynomial), .init(from))
      }
      (from, to) = (to, from)
    }
    return from
  }

  /// The same steps on the squares alone; the processor's says how.
  ///
  /// - Returns: The second, which holds the result.
  private func orthogonalizedByGram(_ parts: [View]) -> View {
    let (x, gram) = (parts[0], parts[2])
    var (polynomial, total, spare) = (parts[3], parts[4], parts[5])
    let isTall = x.rows > x.columns
    product(gram, .init(x, isTransposed: isTall), .init(x, isTransposed: !isTall))
    for step in 0..<5 {
      quintic(of: gram, into: polynomial)
      if step > 0 {
        product(spare, .init(polynomial), .init(total))
        (total, spare) = (spare, total)
      }
      if step < 4 {
        product(spare, .init(polynomial), .init(gram))
        product(gram, .init(spare), .init(polynomial))
      }
      if step == 0 { (total, polynomial) = (polynomial, total) }
    }
    if isTall {
      product(parts[1], .init(x), .init(total))
    } else {
      product(parts[1], .init(total), .init(x))
    }
    return parts[1]
  }
}
