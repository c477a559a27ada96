import Model
import Tensor
import Train

/// Memory is what was planned, and is taken once.
extension Check {
  /// Every attention, and its other patterns and estimates.
  static let attentions =
    AttentionKind.allCases.map(\.rawValue) + [
      "hierarchical:query=fine", "yoso:estimate=expectation", "yoso:estimate=hybrid",
      "combiner:pattern=rowmajor", "combiner:pattern=rowmajor,address=proj",
      "combiner:pattern=logsparse", "combiner:pattern=vertical", "combiner:pattern=mixture",
    ]

  static func memory() throws -> [Check] {
    let kinds = try attentions.map { (name: $0, config: try AttentionConfig(parsing: $0)) }
    return kinds.map { name, attention in
      Check("allocated for training, of the plan: \(name)") { withFault in
        try allocated(attention, withFault: withFault)
      }
    }
      + kinds.map { name, attention in
        Check("allocations of a training step: \(name)") { withFault in
          try allocations(attention, withFault: withFault)
        }
      }
      + [
        Check("working memory of hierarchical attention, 65,536 against 4,096") { withFault in
          let config = ModelConfig.small(try AttentionConfig(parsing: "hierarchical"))
          let bytes = try [4_096, 65_536].map { length in
            kernels.releaseWorkingMemory()
            let own = try config.mechanism.makeOperator(on: kernels)
            let trial = try AttentionTrial(
              config, on: kernels,
              attention: withFault ? LeakingAttention(own, on: kernels) : own, length: length)
            let before = Buffer.allocatedBytes
            trial.forward(step: 1)
            trial.backward(step: 1)
            return Double(Buffer.allocatedBytes - before)
          }
          return Outcome(ratio: bytes[1] / bytes[0], atMost: 16.5)
        }
      ]
  }

  /// A model in training, and what it was to take.
  private final class Training {
    let plannedBytes: Int
    private let batch: RandomBatch
    private let model: Transformer
    private let gradients: Parameters
    private let optimizer: Optimizer
    private var step = 0

    init(_ attention: AttentionConfig, lengths: [Int], withFault: Bool) throws {
      let kernels = Check.kernels
      var config = ModelConfig.small(attention)
      config.layers = 1
      batch = RandomBatch(lengths: lengths, vocabulary: config.vocabularySize)
      let positions = batch.ids.count
      let work = Transformer.workPlan(
        config, positions: positions, sequences: lengths.count,
        attention: try AttentionTrial.workingNeed(
          config, on: kernels, longest: lengths.max() ?? 0, positions: positions))
      plannedBytes =
        4 * kernels.bytes(count: ParameterLayout(config).count)
        + Transformer.activationSize(
          config, training: positions, scoring: positions, on: kernels
        ).bytes(on: kernels)
        + kernels.workingBytes(work)
      try kernels.reserveWorkingMemory(work)
      let parameters = try Parameters(config, on: kernels)
      try parameters.initialize(seed: 1)
      model = try Transformer(config, parameters: parameters, kernels: kernels) {
        withFault ? LeakingAttention($0, on: kernels) : $0
      }
      try model.reserveTraining(positions, scoring: positions)
      gradients = try Parameters(config, on: kernels)
      optimizer = try Optimizer(OptimizerConfig(), model: config, on: kernels)
    }

    /// A step and a validation.
    func runStep() throws {
      step += 1
      model.kernels.fill(gradients.all, with: 0)
      _ = try model.accumulateGradients(
        ids: batch.ids, targets: batch.targets, starts: batch.starts,
        gradientScale: 1 / Float(batch.ids.count), dropout: nil,
        draw: .training(seed: 1, step: step), into: gradients)
      optimizer.update(
        model.parameters, gradients: gradients, step: step, rate: 1e-4,
        gradientNorm: try Optimizer.norm(gradients, kernels: model.kernels), kernels: model.kernels)
      model.weightsChanged()
      _ = try model.nllNats(ids: batch.ids, targets: batch.targets, starts: batch.starts)
    }
  }

  private static func allocated(_ attention: AttentionConfig, withFault: Bool) throws -> Outcome {
    kernels.releaseWorkingMemory()
    let before = Buffer.allocatedBytes
    let training = try Training(attention, lengths: [1_500, 300], withFault: withFault)
    try training.runStep()
    try training.runStep()
    let share = Double(Buffer.allocatedBytes - before) / Double(training.plannedBytes)
    let percent = (share * 1_000).rounded() / 10
    return Outcome(
      found: "\(percent) %", expected: "95 to 105 %", holds: (0.95...1.05).contains(share))
  }

  private static func allocations(
    _ attention: AttentionConfig, withFault: Bool
  ) throws -> Outcome {
    let training = try Training(attention, lengths: [300, 70], withFault: withFault)
    try training.runStep()
    try training.runStep()
    let before = Buffer.allocations
    try training.runStep()
    return Outcome(found: Buffer.allocations - before, expected: 0)
  }
}

extension Check.Outcome {
  init(found: Int, expected: Int) {
    self.init(found: "\(found)", expected: "\(expected)", holds: found == expected)
  }
}
