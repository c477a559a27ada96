import Foundation
import Model
import Storage
import Tensor

/// A checkpoint is used where it lies.
extension Check {
  static let start: [Check] = [
    Check("bytes allocated to open the weights of a checkpoint") { withFault in
      let folder = NSTemporaryDirectory() + "lm-bench-check-\(UUID().uuidString)"
      try Files.createDirectory(folder)
      defer { try? Files.remove(folder) }
      let config = ModelConfig.small(.softmax)
      let written = try Parameters(config, on: kernels)
      try written.initialize(seed: 1)
      try ModelFiles.write(config, written, directory: folder)
      let before = Buffer.allocatedBytes
      let opened =
        withFault
        ? try Parameters(config, on: kernels)
        : try ModelFiles.readWeights(config, directory: folder, on: kernels)
      if withFault { try ModelFiles.readWeights(into: opened, config, directory: folder) }
      let taken = Buffer.allocatedBytes - before
      let isWhole =
        try kernels.numbers(of: opened.finalNorm) == kernels.numbers(of: written.finalNorm)
      return Outcome(
        found: isWhole ? "\(taken)" : "other weights", expected: "0", holds: isWhole && taken == 0)
    }
  ]
}
