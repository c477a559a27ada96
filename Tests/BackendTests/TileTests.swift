import DeviceCheck
import GPUBackend
import Tensor
import TestSupport
import Testing

/// Attention by tiles on the emulator, in single precision and in bfloat16.
///
/// Against the definitions, in every order of threads, and what is promised bit for bit.
@Suite struct TileTests {
  private static let precisions = Precision.allCases

  private func numbers(_ stage: AttentionStage) throws -> [(name: String, numbers: [Float])] {
    stage.forward()
    stage.backward()
    return try stage.results.map { ($0.name, try stage.stage.numbers($0.view)) }
  }

  @Test(arguments: [TestBackend.emulator, .bfloat16], DeviceCheck.tiles)
  func checks(backend: TestBackend, check: DeviceCheck) throws {
    for finding in try check.run(on: try backend.makeKernels()) {
      #expect(finding.holds, "\(finding.what) of \(check) is off by \(finding.error)")
    }
  }

  @Test(arguments: AttentionSubject.tiled, precisions)
  func ordersOfThreadsGiveTheSameBits(
    subject: AttentionSubject, precision: Precision
  ) throws {
    let runs = try EmulatedDriver.Order.allCases.map { order in
      let kernels = GPUKernels(EmulatedDriver(order: order), precision: precision)
      return try numbers(#require(try AttentionStage(kernels, subject, AttentionSize.tiled[0])))
    }
    for run in runs.dropFirst() {
      for (a, b) in zip(run, runs[0]) { #expect(haveSameBits(a.numbers, b.numbers), "\(a.name)") }
    }
  }

  /// Two launches of means, eight levels, and chunks of far keys that are added.
  ///
  /// Definitions would take minutes here, so the other one is this processor.
  @Test(arguments: AttentionSubject.tiled, precisions)
  func longSequencesAgree(subject: AttentionSubject, precision: Precision) throws {
    let kernels = GPUKernels(EmulatedDriver(order: .shuffled), precision: precision)
    for length in [700, 4_500] {
      let size = AttentionSize([length], keys: 32, values: 32)
      let actual = try numbers(#require(try AttentionStage(kernels, subject, size)))
      let expected = try numbers(
        #require(try AttentionStage(TestBackend.cpu.makeKernels(), subject, size)))
      for (a, b) in zip(actual, expected) {
        let error = relativeNorm(a.numbers, b.numbers)
        // Slopes of a row's logits add up to nothing: a bias that thousands of keys share keeps little but
        // the rounding of its parts, on either side.
        let sides = a.name == "dBias" ? 2.0 : 1
        #expect(
          error <= sides * kernels.promises.relativeError,
          "\(a.name) of \(length) is off by \(error)")
      }
    }
  }

  /// The norm of the difference relative to that of the expected.
  private func relativeNorm(_ actual: [Float], _ expected: [Float]) -> Double {
    var (difference, size) = (0.0, 0.0)
    for (x, y) in zip(actual, expected) {
      difference += (Double(x) - Double(y)) * (Double(x) - Double(y))
      size += Double(y) * Double(y)
    }
    return difference.isFinite ? (difference / max(size, 1e-30)).squareRoot() : .infinity
  }
}
