import CPUBackend
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
            WorkingMemory.release()
            let mechanism = withFault ? LeakingAttention(config.mechanism) : config.mechanism
            let trial = try AttentionTrial(config, mechanism: mechanism, length: length)
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
      var config = ModelConfig.small(attention)
      config.layers = 1
      batch = RandomBatch(lengths: lengths, vocabulary: config.vocabularySize)
      let positions = batch.ids.count
      plannedBytes =
        4 * Buffer.bytes(count: ParameterLayout(config).count)
        + Buffer.bytes(
          count: Transformer.sharedFloats(config, training: positions, scoring: positions))
        + WorkingMemory.bytes(
          vocabulary: config.vocabularySize,
          panels: Transformer.panelFloats(config, positions: positions),
          attention: try AttentionTrial.workingMemory(
            config, longest: lengths.max() ?? 0, positions: positions))
      let parameters = Parameters(config)
      parameters.initialize(seed: 1)
      model = try Transformer(
        config, parameters: parameters,
        mechanism: withFault ? LeakingAttention(config.mechanism) : nil)
      model.reserveTraining(positions, scoring: positions)
      gradients = Parameters(config)
      optimizer = Optimizer(OptimizerConfig(), model: config)
    }

    /// A step and a validation.
    func take() {
      step += 1
      gradients.all.fill(0)
      _ = model.accumulateGradients(
        ids: batch.ids, targets: batch.targets, starts: batch.starts,
        gradientScale: 1 / Float(batch.ids.count), dropout: nil,
        draw: .training(seed: 1, step: step), into: gradients)
      optimizer.update(
        model.parameters, gradients: gradients, step: step, rate: 1e-4,
        gradientNorm: Optimizer.norm(gradients, kernels: model.kernels), kernels: model.kernels)
      _ = model.nllNats(ids: batch.ids, targets: batch.targets, starts: batch.starts)
    }
  }

  private static func allocated(_ attention: AttentionConfig, withFault: Bool) throws -> Outcome {
    WorkingMemory.release()
    let before = Buffer.allocatedBytes
    let training = try Training(attention, lengths: [1_500, 300], withFault: withFault)
    training.take()
    training.take()
    let share = Double(Buffer.allocatedBytes - before) / Double(training.plannedBytes)
    let percent = (share * 1_000).rounded() / 10
    return Outcome(
      found: "\(percent) %", expected: "95 to 105 %", holds: (0.95...1.05).contains(share))
  }

  private static func allocations(
    _ attention: AttentionConfig, withFault: Bool
  ) throws -> Outcome {
    let training = try Training(attention, lengths: [300, 70], withFault: withFault)
    training.take()
    training.take()
    let before = Buffer.allocations
    training.take()
    return Outcome(found: Buffer.allocations - before, expected: 0)
  }
}

extension Check.Outcome {
  init(found: Int, expected: Int) {
    self.init(found: "\(found)", expected: "\(expected)", holds: found == expected)
  }
}
