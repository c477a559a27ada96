package import Communication
import GPUBackend
package import Tensor

extension Backend {
  /// Finds the way that numbers take between the devices of several ranks, together with all of them.
  ///
  /// - Parameters:
  ///   - kernels: Of this rank; all ranks have kernels of one kind.
  ///   - ranks: All of them.
  /// - Returns: What carries numbers past the communicator, if anything does; and the way, and why it is
  ///   that one, for a line of text: nil where devices are processors.
  /// - Throws: One sentence if `LM_NCCL` demands what cannot work, or what should work fails.
  package static func link(
    _ kernels: any Kernels, _ ranks: any Communicator
  ) throws -> (link: (any DeviceLink)?, description: String?) {
    guard let kernels = kernels as? GPUKernels, let driver = kernels.driver as? CUDADriver else {
      return (nil, nil)
    }
    let found = try CardLink(driver, kernels.precision, ranks)
    return (found.link, found.description)
  }
}
