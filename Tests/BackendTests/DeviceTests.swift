import DeviceCheck
import Tensor
import TestSupport
import Testing

/// The back ends that are compared with the oracle.
let others = TestBackend.allCases.filter { $0 != .oracle }

/// Every operation of every back end against the oracle, and against what the back end promises.
@Suite struct DeviceTests {
  @Test(arguments: others, DeviceCheck.layers) func layers(
    backend: TestBackend, check: DeviceCheck
  ) throws {
    try expect(backend, check)
  }

  @Test(arguments: others, DeviceCheck.products) func products(
    backend: TestBackend, check: DeviceCheck
  ) throws {
    try expect(backend, check)
  }

  @Test(arguments: others, DeviceCheck.optimizers) func optimizers(
    backend: TestBackend, check: DeviceCheck
  ) throws {
    try expect(backend, check)
  }

  @Test(arguments: TestBackend.allCases, DeviceCheck.rows) func rows(
    backend: TestBackend, check: DeviceCheck
  ) throws {
    try expect(backend, check)
  }

  @Test(arguments: others, DeviceCheck.attentions) func attentions(
    backend: TestBackend, check: DeviceCheck
  ) throws {
    try expect(backend, check)
  }

  @Test(arguments: TestBackend.allCases, DeviceCheck.attentionPromises) func attentionPromises(
    backend: TestBackend, check: DeviceCheck
  ) throws {
    try expect(backend, check)
  }

  /// What is repeated is done by other numbers of threads.
  private func expect(_ backend: TestBackend, _ check: DeviceCheck) throws {
    let findings = try check.run(on: try backend.makeKernels()) { body in
      for threads in [1, 3] { try withThreads(threads, body) }
    }
    for finding in findings {
      #expect(finding.holds, "\(finding.what) of \(check) is off by \(finding.error)")
    }
  }

  /// Nothing is left out by the back ends that have everything.
  @Test(arguments: [TestBackend.cpu, .oracle]) func everythingIsFound(backend: TestBackend) throws {
    let kernels = try backend.makeKernels()
    for check in DeviceCheck.optimizers + DeviceCheck.rows.prefix(3) {
      #expect(!(try check.run(on: kernels)).isEmpty, "\(check)")
    }
  }
}
