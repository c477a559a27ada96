import Tensor
import TestSupport
import Testing

/// Optimizers and the norm: every back end against the oracle.
@Suite struct OptimizerTests {
  @Test(arguments: others, [1, 7, 8, 1_001]) func adamW(backend: TestBackend, count: Int) throws {
    try expectAgreement(backend) { stage in
      let parameters = try stage.random(1, count, seed: 1, for: .master)
      let (first, second) = (
        try stage.zeros(1, count, for: .master), try stage.zeros(1, count, for: .master)
      )
      for step in 1...5 {
        let gradients = try stage.random(
          1, count, seed: 10 + UInt64(step), deviation: 0.1, for: .master)
        stage.kernels.adamW(
          parameters: parameters, gradients: gradients, firstMoment: first, secondMoment: second,
          AdamWStep(
            rate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, decay: 0.1, step: step,
            gradientScale: 0.5))
      }
      return [("parameters", parameters), ("first", first), ("second", second)]
    }
  }

  /// A bound of its own: the steps of Newton and Schulz lift the smallest singular values, and with
  /// them their rounding, by up to 3.4 each.
  @Test(arguments: others, [[1, 1], [1, 9], [9, 1], [13, 7], [40, 40], [24, 70]])
  func muon(backend: TestBackend, shape: [Int]) throws {
    try expectAgreement(backend, relative: 1e-4) { stage in
      let parameters = try stage.random(shape[0], shape[1], seed: 1, for: .master)
      let momentum = try stage.zeros(shape[0], shape[1], for: .master)
      for step in 1...3 {
        let gradients = try stage.random(
          shape[0], shape[1], seed: 10 + UInt64(step), deviation: 0.1, for: .master)
        stage.kernels.muon(
          parameters: parameters, gradients: gradients, momentum: momentum,
          MuonStep(rate: 0.02, beta: 0.9, decay: 0.1, gradientScale: 0.5))
      }
      return [("parameters", parameters), ("momentum", momentum)]
    }
  }

  @Test(arguments: others, [0, 1, 33, 513, 70_003])
  func sumOfSquares(backend: TestBackend, count: Int) throws {
    let sums = try [backend, .oracle].map { backend in
      let stage = try Stage(backend)
      return try stage.kernels.sumOfSquares(try stage.random(1, count, seed: 1, for: .master))
    }
    let bound = try backend.makeKernels().promises.relativeError
    #expect(abs(sums[0] - sums[1]) <= bound * sums[1], "\(sums)")
  }
}
