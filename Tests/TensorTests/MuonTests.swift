import CPUBackend
import Deterministic
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels()

@Suite struct MuonTests {
  /// Rows and columns: single, odd, ragged, wide, tall, past one block of products.
  static let shapes = [
    [1, 1], [1, 9], [9, 1], [7, 13], [13, 7], [40, 40], [24, 130], [130, 24],
  ]

  @Test(arguments: shapes)
  func stepsMatchTwin(shape: [Int]) {
    let (rows, columns) = (shape[0], shape[1])
    let parameters = randomView(rows: rows, columns: columns, seed: 1)
    var twin = ReferenceMuon(parameters: Matrix(parameters))
    let p = contiguous(parameters)
    let momentum = View(rows: rows, columns: columns)
    let gradients = View(rows: rows, columns: columns)
    for step in 1...4 {
      gradients.fillGaussian(deviation: 0.1, from: CounterRandom(seed: 2, UInt64(step)))
      kernels.muon(
        parameters: p, gradients: gradients, momentum: momentum, rate: 0.02, beta: 0.9, decay: 0.1,
        gradientScale: 0.5)
      var scaled = Matrix(gradients)
      for index in scaled.values.indices { scaled.values[index] *= 0.5 }
      twin.update(
        gradients: scaled, rate: 0.02, beta: Double(Float(0.9)), decay: Double(Float(0.1)))
    }
    expectClose(momentum, twin.momentum, relative: 1e-5, absolute: 1e-7, "momentum")
    // Newton-Schulz steps amplify rounding of small singular values by up to 3.4 each.
    expectClose(p, twin.parameters, relative: 1e-4, absolute: 1e-4, "parameters")
  }

  /// What five steps of the polynomial promise: singular values near 1, here by `o oᵀ`'s diagonal
  /// and by its distance from a multiple of the identity.
  @Test(arguments: [[24, 130], [130, 24]])
  func directionIsNearlyOrthogonal(shape: [Int]) {
    let (rows, columns) = (shape[0], shape[1])
    let p = View(rows: rows, columns: columns)
    let gradients = randomView(rows: rows, columns: columns, seed: 5)
    kernels.muon(
      parameters: p, gradients: contiguous(gradients), momentum: View(rows: rows, columns: columns),
      rate: 1, beta: 0.9, decay: 0, gradientScale: 1)
    var o = Matrix(p)
    let scale = -0.2 * Double(max(rows, columns)).squareRoot()
    for index in o.values.indices { o.values[index] /= scale }
    let gram = rows < columns ? o.times(o.transposed) : o.transposed.times(o)
    for row in 0..<gram.rows {
      #expect(gram[row, row] > 0.4 && gram[row, row] < 1.5)
    }
    // Against the direction of the gradient, not along it.
    #expect(Matrix(gradients).dot(o) > 0)
  }

  @Test func noGradientLeavesOnlyDecay() {
    let p = View(rows: 2, columns: 3, elements: [1, 2, 3, 4, 5, 6])
    kernels.muon(
      parameters: p, gradients: View(rows: 2, columns: 3), momentum: View(rows: 2, columns: 3),
      rate: 0.5, beta: 0.9, decay: 0.5, gradientScale: 1)
    #expect(p.elements == [0.75, 1.5, 2.25, 3, 3.75, 4.5])
  }

  @Test func threadsDoNotMatter() {
    expectThreadIndependence {
      let p = contiguous(randomView(rows: 200, columns: 330, seed: 1))
      let m = contiguous(randomView(rows: 200, columns: 330, seed: 3))
      kernels.muon(
        parameters: p, gradients: contiguous(randomView(rows: 200, columns: 330, seed: 2)),
        momentum: m, rate: 0.1, beta: 0.9, decay: 0.1, gradientScale: 1)
      return [p, m]
    }
  }

  private func contiguous(_ view: View) -> View {
    View(rows: view.rows, columns: view.columns, elements: view.elements)
  }
}
