import Deterministic
import Model
import Tensor
import Train

/// More threads than this machine has processors would have enough to do.
extension Check {
  static let threads: [Check] = [
    Check("share of a training step outside parallel loops, percent") { withFault in
      let trace = try tracedStep(withFault: withFault)
      return Outcome(ratio: 100 * trace.serialSeconds / trace.seconds, atMost: 2)
    },
    Check("gain of a training step by 64 threads, from its pieces") { withFault in
      let trace = try tracedStep(withFault: withFault)
      return Outcome(
        ratio: trace.seconds / trace.seconds(threads: 64, wakeup: 5e-6), atLeast: 12)
    },
  ]

  /// A step of two layers of 256 over 1,024 tokens, cut for 64 threads.
  private static func tracedStep(withFault: Bool) throws -> LoopTrace {
    var config = ModelConfig(
      vocabularySize: 4_000, width: 256, layers: 2, heads: 4, hidden: 704)
    config.use(.softmax)
    let batch = RandomBatch(
      lengths: Array(repeating: 64, count: 16), vocabulary: config.vocabularySize)
    let parameters = try Parameters(config, on: kernels)
    try parameters.initialize(seed: 1)
    let model = try Transformer(config, parameters: parameters, kernels: kernels)
    let gradients = try Parameters(config, on: kernels)
    let optimizer = try Optimizer(OptimizerConfig(), model: config, on: kernels)
    func runStep() throws {
      kernels.fill(gradients.all, with: 0)
      _ = try model.accumulateGradients(
        ids: batch.ids, targets: batch.targets, starts: batch.starts,
        gradientScale: 1 / Float(batch.ids.count), dropout: nil,
        draw: .training(seed: 1, step: 1), into: gradients)
      optimizer.update(
        model.parameters, gradients: gradients, step: 1, rate: 1e-4,
        gradientNorm: try Optimizer.norm(gradients, kernels: kernels), kernels: kernels)
      model.weightsChanged()
    }
    try runStep()
    return try LoopTrace.record(threads: 64, times: 4) {
      // As if the layers had a loop that was forgotten.
      if withFault { try Parallel.serially { try runStep() } } else { try runStep() }
    }
  }
}
