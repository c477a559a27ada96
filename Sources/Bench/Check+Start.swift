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
      let written = Parameters(config)
      written.initialize(seed: 1)
      try ModelFiles.write(config, written, directory: folder)
      let before = Buffer.allocatedBytes
      let opened =
        withFault ? Parameters(config) : try ModelFiles.readWeights(config, directory: folder)
      if withFault { try ModelFiles.readWeights(into: opened, config, directory: folder) }
      let taken = Buffer.allocatedBytes - before
      let isWhole = opened.finalNorm.elements == written.finalNorm.elements
      return Outcome(
        found: isWhole ? "\(taken)" : "other weights", expected: "0", holds: isWhole && taken == 0)
    }
  ]
}
