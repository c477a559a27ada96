import CPUBackend
import OracleBackend
package import Tensor

/// The back ends there are: the one place that names them all.
package enum Backend: String, CaseIterable, Sendable {
  /// This processor.
  case cpu
  /// Definitions in Float64, slow: what tests compare the others with.
  case oracle

  /// Kernels of the one back end that every machine has.
  package static var ofThisProcessor: any Kernels { CPUKernels() }

  /// Kernels of the back end.
  ///
  /// - Throws: `DeviceError` if this machine has no such device.
  package func makeKernels() throws(DeviceError) -> any Kernels {
    switch self {
    case .cpu: CPUKernels()
    case .oracle: OracleKernels()
    }
  }

  /// The back end of a device's name.
  ///
  /// - Throws: `DeviceError.failed` if there is none, with the names of those there are.
  package static func named(_ name: String) throws(DeviceError) -> Backend {
    guard let backend = Backend(rawValue: name) else {
      throw .failed(
        device: name,
        problem: "there is no such device; choose one of "
          + allCases.filter { $0 != .oracle }.map(\.rawValue).joined(separator: ", "))
    }
    return backend
  }
}
