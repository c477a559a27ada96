import Backends
import GPUBackend
package import Tensor

/// The back ends that tests run on: those of the program, and a card's kernels without a card.
package enum TestBackend: String, CaseIterable, Sendable {
  case cpu
  case oracle
  /// The kernels of a card, run by the emulator.
  case emulator
  /// The same with products in bfloat16.
  case bfloat16

  /// Those of the program, for tests in which emulated kernels would take minutes.
  package static let ofTheProgram = [cpu, oracle]

  package func makeKernels() throws(DeviceError) -> any Kernels {
    switch self {
    case .cpu: try Backend.cpu.makeKernels()
    case .oracle: try Backend.oracle.makeKernels()
    case .emulator: GPUKernels(EmulatedDriver())
    case .bfloat16: GPUKernels(EmulatedDriver(), precision: .bfloat16)
    }
  }
}
