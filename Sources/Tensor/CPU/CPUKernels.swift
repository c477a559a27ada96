/// The kernels of this processor: OpenBLAS for the products of the backward pass, `SIMD8<Float>` for
/// the rest.
///
/// One op per file in this folder, forward and backward side by side.
package struct CPUKernels: Kernels {
  package init() {}
}
