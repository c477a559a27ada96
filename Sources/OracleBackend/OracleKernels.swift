package import Tensor

/// The definition of every operation, in Float64 and in plain loops: what other back ends are
/// compared with.
///
/// One op per file in this module: its definition on matrices (``ReferenceKernels``), forward and
/// backward, then the kernel that reads, computes and writes. It is as unlike a fast back end as the
/// contract allows: its memory has eight bytes a number and is followed by nobody else, heads lie
/// side by side, one thread does everything, and decoding computes the whole past again. Whatever
/// runs on it holds for the contract, not for the habits of one processor.
package struct OracleKernels: Kernels {
  package init() {}

  package var name: String { "oracle" }

  /// Rounding of Float64, in sums that no cancellation makes much worse.
  package var promises: Promises {
    Promises(isRepeatable: true, rowsAreIndependent: true, relativeError: 1e-12)
  }

  package var headLayout: HeadLayout { .rows }

  package var headsAreTasks: Bool { true }
}

/// Definitions of the operations, in Float64 on matrices, with nothing clever in them.
package enum ReferenceKernels {}
