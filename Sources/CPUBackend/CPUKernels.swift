import Tensor

/// The kernels of this processor, all of `SIMD8<Float>`.
///
/// One op per file in this folder, forward and backward side by side.
package struct CPUKernels: Kernels {
  package init() {}
}
