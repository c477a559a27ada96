package import Tensor

/// Muon (Jordan et al., 2024); the mathematics is with ``Kernels/muon(parameters:gradients:momentum:_:)``
/// of the contract and with the processor's.
extension GPUKernels {
  package func muon(parameters: View, gradients: View, momentum: View, _ step: MuonStep) {
    let (rows, columns) = (parameters.rows, parameters.columns)
    precondition(
      gradients.rows == rows && gradients.columns == columns && momentum.rows == rows
        && momentum.columns == columns,
      "Muon over [\(rows), \(columns)], gradients [\(gradients.rows), \(gradients.columns)],"
        + " momentum [\(momentum.rows), \(momentum.columns)]")
    guard parameters.count > 0 else { return }
    scratch.lendViews(Self.muonShapes(rows: rows, columns: columns)) { parts in
      driver.launch(
        GPUKernel("muon", "muon_momentum"), grid: .eights(of: momentum), parts[0].matrix,
        momentum.matrix, gradients.matrix, step.beta, step.gradientScale)
      let direction = orthogonalized(parts)
      driver.launch(
        GPUKernel("muon", "muon_move"), grid: .eights(of: parameters), parameters.matrix,
        direction.matrix, Float(1 - Double(step.rate) * Double(step.decay)),
        Float(-Double(step.rate) * 0.2 * Double(max(rows, columns)).squareRoot()))
    }
  }

  /// The update and a spare of its shape, and two squares of its short side.
  static func muonShapes(rows: Int, columns: Int) -> [(rows: Int, columns: Int)] {
    let short = min(rows, columns)
    return [(rows, columns), (rows, columns), (short, short), (short, short)]
  }

  /// Five steps of the quintic, after division by the Frobenius norm.
  ///
  /// - Returns: Which of the first two holds the result.
  private func orthogonalized(_ parts: [View]) -> View {
    var (from, to) = (parts[0], parts[1])
    let (gram, polynomial) = (parts[2], parts[3])
    withSumOfSquares(from.flat(0..<from.count)) { squares in
      driver.launch(
        GPUKernel("muon", "muon_normalize"), grid: .eights(of: from), from.matrix, squares)
    }
    let isTall = from.rows > from.columns
    func product(_ c: View, _ a: GPUProduct.Operand, _ b: GPUProduct.Operand) {
      multiply(GPUProduct(c, a, b, accumulate: false, rowsAreIndependent: false))
    }
    for _ in 0..<5 {
      product(gram, .init(from, isTransposed: isTall), .init(from, isTransposed: !isTall))
      product(polynomial, .init(gram), .init(gram))
      driver.launch(
        GPUKernel("muon", "muon_polynomial"), grid: .eights(of: polynomial), polynomial.matrix,
        gram.matrix, Float(3.4445), Float(-4.7750), Float(2.0315))
      if isTall {
        product(to, .init(from), .init(polynomial))
      } else {
        product(to, .init(polynomial), .init(from))
      }
      (from, to) = (to, from)
    }
    return from
  }
}
