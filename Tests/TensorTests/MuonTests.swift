import CPUBackend
import Deterministic
import Foundation
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

  @Test(arguments: shapes, MuonForm.allCases)
  func stepsMatchTwin(shape: [Int], form: MuonForm) {
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
        gradientScale: 0.5, form: form)
      var scaled = Matrix(gradients)
      for index in scaled.values.indices { scaled.values[index] *= 0.5 }
      twin.update(
        gradients: scaled, rate: 0.02, beta: Double(Float(0.9)), decay: Double(Float(0.1)),
        form: form)
    }
    expectClose(momentum, twin.momentum, relative: 1e-5, absolute: 1e-7, "momentum")
    // Newton-Schulz steps amplify rounding of small singular values by up to 3.4 each.
    expectClose(p, twin.parameters, relative: 1e-4, absolute: 1e-4, "parameters")
  }

  /// What five steps of the polynomial promise: singular values near 1, here by `o oᵀ`'s diagonal
  /// and by its distance from a multiple of the identity.
  @Test(arguments: [[24, 130], [130, 24]], MuonForm.allCases)
  func directionIsNearlyOrthogonal(shape: [Int], form: MuonForm) {
    let (rows, columns) = (shape[0], shape[1])
    let p = View(rows: rows, columns: columns)
    let gradients = randomView(rows: rows, columns: columns, seed: 5)
    kernels.muon(
      parameters: p, gradients: contiguous(gradients), momentum: View(rows: rows, columns: columns),
      rate: 1, beta: 0.9, decay: 0, gradientScale: 1, form: form)
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

  /// Both definitions, in double precision: one polynomial of the singular values.
  @Test(arguments: shapes) func formsHaveOneResult(shape: [Int]) {
    let update = Matrix(randomView(rows: shape[0], columns: shape[1], seed: 5))
    let (standard, gram) = (
      ReferenceMuon.orthogonal(update), ReferenceMuon.orthogonalByGram(update)
    )
    for (a, b) in zip(standard.values, gram.values) { #expect(abs(a - b) < 1e-11) }
  }

  /// Singular values from 1 down to 1e-6: rounding of the small ones is lifted with them, and no more.
  @Test(arguments: MuonForm.allCases) func smallSingularValuesStaySmall(form: MuonForm) {
    let size = 40
    let gradients = View(rows: size, columns: size)
    for row in 0..<size {
      for column in 0..<size {
        // A rotation by cosines, times a diagonal.
        let angle = Double.pi * (Double(column) + 0.5) * Double(row) / Double(size)
        let value = cos(angle) * pow(10, -6 * Double(row) / Double(size - 1))
        gradients.base[row * size + column] = Float(value)
      }
    }
    let p = View(rows: size, columns: size)
    kernels.muon(
      parameters: p, gradients: gradients, momentum: View(rows: size, columns: size), rate: 1,
      beta: 0, decay: 0, gradientScale: 1, form: form)
    let exact = ReferenceMuon.orthogonal(Matrix(gradients))
    let scale = -0.2 * Double(size).squareRoot()
    for (moved, direction) in zip(p.elements, exact.values) {
      #expect(abs(Double(moved) / scale - direction) < 2e-3)
    }
  }

  @Test func noGradientLeavesOnlyDecay() {
    let p = View(rows: 2, columns: 3, elements: [1, 2, 3, 4, 5, 6])
    kernels.muon(
      parameters: p, gradients: View(rows: 2, columns: 3), momentum: View(rows: 2, columns: 3),
      rate: 0.5, beta: 0.9, decay: 0.5, gradientScale: 1)
    #expect(p.elements == [0.75, 1.5, 2.25, 3, 3.75, 4.5])
  }

  @Test(arguments: MuonForm.allCases) func threadsDoNotMatter(form: MuonForm) {
    expectThreadIndependence {
      let p = contiguous(randomView(rows: 200, columns: 330, seed: 1))
      let m = contiguous(randomView(rows: 200, columns: 330, seed: 3))
      kernels.muon(
        parameters: p, gradients: contiguous(randomView(rows: 200, columns: 330, seed: 2)),
        momentum: m, rate: 0.1, beta: 0.9, decay: 0.1, gradientScale: 1, form: form)
      return [p, m]
    }
  }

  /// Threads decide how many matrices are moved at a time, and no bit: each has those that it has alone.
  @Test(arguments: MuonForm.allCases) func companyDoesNotMatter(form: MuonForm) {
    let shapes = [(40, 40), (130, 24), (24, 130), (192, 192), (1, 9), (192, 300), (0, 5), (64, 64)]
    func matrices() -> [MuonMatrix] {
      shapes.enumerated().map { index, shape in
        let views = (0..<3).map {
          contiguous(randomView(rows: shape.0, columns: shape.1, seed: UInt64(10 * index + $0)))
        }
        return MuonMatrix(parameters: views[0], gradients: views[1], momentum: views[2])
      }
    }
    let step = MuonStep(rate: 0.1, beta: 0.9, decay: 0.1, gradientScale: 0.5, form: form)
    let alone = matrices()
    withThreads(1) { for matrix in alone { kernels.muon([matrix], step) } }
    for threads in [1, 2, 5, 64] {
      let together = matrices()
      withThreads(threads) { kernels.muon(together, step) }
      for (a, b) in zip(alone, together) {
        #expect(a.parameters.elements == b.parameters.elements, "\(a.rows) x \(a.columns)")
        #expect(a.momentum.elements == b.momentum.elements, "\(a.rows) x \(a.columns)")
      }
    }
    #expect(alone[0].parameters.elements != matrices()[0].parameters.elements)
  }

  private func contiguous(_ view: View) -> View {
    View(rows: view.rows, columns: view.columns, elements: view.elements)
  }
}
