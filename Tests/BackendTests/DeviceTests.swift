import DeviceCheck
import GPUBackend
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

  /// The threads of a block may take turns in any order: no bit is another.
  @Test(arguments: Precision.allCases) func orderOfThreadsIsFree(precision: Precision) throws {
    let orders = EmulatedDriver.Order.allCases.map {
      GPUKernels(EmulatedDriver(order: $0), precision: precision)
    }
    for check in DeviceCheck.layers + DeviceCheck.products + DeviceCheck.optimizers {
      guard let first = try check.results(on: orders[0]) else { continue }
      for kernels in orders.dropFirst() {
        for (a, b) in zip(try check.results(on: kernels) ?? [], first) {
          #expect(haveSameBits(a.numbers, b.numbers), "\(a.name) of \(check)")
        }
      }
    }
  }

  /// Nothing is left out by the back ends that have everything.
  @Test(arguments: TestBackend.allCases) func everythingIsFound(backend: TestBackend) throws {
    let kernels = try backend.makeKernels()
    // One size of every attention; the sizes are the first argument to change.
    let attentions = DeviceCheck.attentions.enumerated().filter { $0.offset % 5 == 1 }
    for check in DeviceCheck.optimizers + DeviceCheck.rows.prefix(3) + attentions.map(\.element) {
      #expect(!(try check.run(on: kernels)).isEmpty, "\(check)")
    }
  }
}
