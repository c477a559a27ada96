import Deterministic
import Tensor
import TestSupport
import Testing

/// Muon on several matrices at a time: how many there are follows from memory, from threads and from the
/// number of processes, and decides no bit.
@Suite struct MuonCompanyTests {
  private static let shapes = [
    (40, 40), (24, 70), (40, 40), (1, 9), (13, 7), (40, 40), (0, 5), (13, 7),
  ]

  @Test(arguments: TestBackend.allCases, MuonForm.allCases)
  func companyDoesNotMatter(backend: TestBackend, form: MuonForm) throws {
    let kernels = try backend.makeKernels()
    func matrices() throws -> [MuonMatrix] {
      try Self.shapes.enumerated().map { index, shape in
        let views = try (0..<3).map { place in
          let view = try kernels.makeView(rows: shape.0, columns: shape.1)
          let random = CounterRandom(seed: UInt64(index), UInt64(place))
          try kernels.write(random.gaussians(0..<view.count, deviation: 1), to: view)
          return view
        }
        return MuonMatrix(parameters: views[0], gradients: views[1], momentum: views[2])
      }
    }
    let step = MuonStep(rate: 0.1, beta: 0.9, decay: 0.1, gradientScale: 0.5, form: form)
    let (alone, together, begun) = (try matrices(), try matrices(), try matrices())
    for matrix in alone { kernels.muon([matrix], step) }
    kernels.muon(together, step)
    for (a, b) in zip(alone, together) where a.parameters.count > 0 {
      for (x, y) in [(a.parameters, b.parameters), (a.momentum, b.momentum)] {
        #expect(try kernels.numbers(of: x) == kernels.numbers(of: y), "\(a.rows) x \(a.columns)")
      }
    }
    #expect(
      try kernels.numbers(of: together[0].parameters) != kernels.numbers(of: begun[0].parameters))
  }
}
