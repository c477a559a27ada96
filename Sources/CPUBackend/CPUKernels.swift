package import Tensor

/// The kernels of this processor, all of `SIMD8<Float>`.
///
/// One op per file in this module, forward and backward side by side.
package struct CPUKernels: Kernels {
  package init() {}

  package var name: String { "cpu" }

  /// Work is cut by shape alone, and every row's sums have an order of their own.
  package var promises: Promises {
    Promises(isRepeatable: true, rowsAreIndependent: true, relativeError: 1e-5)
  }

  package var headLayout: HeadLayout { .bands }

  package var headsAreTasks: Bool { true }
}
