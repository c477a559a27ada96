import CProcessor
package import Tensor

/// The kernels of this processor, all of `SIMD8<Float>`.
///
/// One op per file in this module, forward and backward side by side.
package struct CPUKernels: Kernels {
  /// Of the products of linear layers and of the head.
  let form: ProductForm

  /// - Parameters:
  ///   - precision: What products of linear layers and of the head read. Their sums, and everything else,
  ///     Muon's matrices and attention too, have single precision.
  ///   - usesPairs: Whether products in bfloat16 use the instruction on pairs where the processor has it; without
  ///     this, what is faster. No bit depends on it.
  package init(_ precision: Precision = .float32, usesPairs: Bool? = nil) {
    form =
      switch precision {
      case .float32: .float32
      case .bfloat16:
        switch usesPairs {
        case true?: ProductForm.hasPairs ? .pairs : .rounded
        case false?: .rounded
        case nil: .bfloat16
        }
      }
  }

  /// Whether the processor has the instruction on pairs, fast or not.
  package static var hasPairs: Bool { ProductForm.hasPairs }

  /// Whether products in bfloat16 have instructions of their own on this processor that save time, and not
  /// just their bits.
  package static var multipliesPairs: Bool { ProductForm.bfloat16 == .pairs }

  /// Whether these are compiled for AVX-512.
  package static var isCompiledForAVX512: Bool { CP_COMPILED_FOR_AVX512 != 0 }

  package var name: String { "cpu" }

  /// Work is cut by shape alone, and every row's sums have an order of their own.
  package var promises: Promises {
    Promises(
      isRepeatable: true, rowsAreIndependent: true,
      relativeError: form == .float32 ? 1e-5 : 1e-2)
  }

  package var headLayout: HeadLayout { .bands }

  package var headsAreTasks: Bool { true }
}
