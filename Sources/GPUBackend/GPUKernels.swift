package import Tensor

/// The kernels of a card, or of the emulator that stands in for one: one set of operations over a
/// ``GPUDriver``, one set of kernel sources in `CUDASource`.
///
/// One op per file in this module, forward and backward side by side, and its kernel in the file of
/// the same name there.
package struct GPUKernels: TwoTypeKernels {
  package let driver: any GPUDriver
  package let precision: Precision
  let scratch: GPUScratch
  let sideline: Sideline
  let positionTables = PositionTables()

  package init(_ driver: any GPUDriver, precision: Precision = .float32) {
    self.driver = driver
    self.precision = precision
    scratch = GPUScratch(driver)
    sideline = Sideline(driver)
  }

  package var name: String { driver.name }

  /// No atomics anywhere, and every row's sums have an order of their own.
  package var promises: Promises {
    Promises(
      isRepeatable: true, rowsAreIndependent: true,
      relativeError: precision == .float32 ? 1e-5 : 1e-2)
  }

  package var headLayout: HeadLayout { .rows }

  package var headsAreTasks: Bool { false }
}
