import Model
import Tensor

/// The work that is reported is the work that is done.
extension Check {
  static let work: [Check] = [
    Check("FLOPs of scoring, counted in the products") { withFault in
      try countedWork(training: false, withFault: withFault)
    },
    Check("FLOPs of a training step, counted in the products") { withFault in
      try countedWork(training: true, withFault: withFault)
    },
    Check("hierarchical work per position, 65,536 against 1,024") { withFault in
      let attention =
        withFault ? AttentionConfig.softmax : try AttentionConfig(parsing: "hierarchical")
      let mechanism = ModelConfig.small(attention).mechanism
      let perPosition = { (length: Int) in
        mechanism.work(length: length).training / Double(length)
      }
      return Outcome(
        ratio: perPosition(65_536) / perPosition(1_024), atMost: 1.15)
    },
  ]

  private static func countedWork(training: Bool, withFault: Bool) throws -> Outcome {
    let config = ModelConfig.small(.softmax)
    let parameters = try Parameters(config, on: kernels)
    try parameters.initialize(seed: 1)
    guard let counted = kernels as? any SoftmaxAttentionKernels else {
      throw DeviceError.unsupported(device: kernels.name, what: "softmax attention")
    }
    let kernels = CountingKernels(counted)
    let model = try Transformer(config, parameters: parameters, kernels: kernels)
    let batch = RandomBatch(lengths: [1, 9, 40, 23], vocabulary: config.vocabularySize)
    if training {
      _ = try model.accumulateGradients(
        ids: batch.ids, targets: batch.targets, starts: batch.starts, gradientScale: 1,
        dropout: nil, into: Parameters(config, on: kernels))
    } else {
      _ = try model.nllNats(ids: batch.ids, targets: batch.targets, starts: batch.starts)
    }
    var claimed = config
    if withFault { claimed.hidden += 1 }
    let cost = Cost(claimed)
    let part = training ? \AttentionWork.training : \AttentionWork.forward
    // Kernels of attention do not count themselves.
    let attention = batch.lengths.reduce(0.0) {
      $0 + Double(config.layers) * config.mechanism.work(length: $1)[keyPath: part]
    }
    let claim =
      (training ? cost.training(lengths: batch.lengths) : cost.forward(lengths: batch.lengths))
      - attention
    return Outcome(
      found: "\(kernels.flops)", expected: "\(Int(claim.rounded()))",
      holds: kernels.flops == Int(claim.rounded()))
  }
}

extension Check.Outcome {
  init(ratio: Double, atMost limit: Double) {
    self.init(
      found: Self.hundredths(ratio), expected: "at most \(Self.hundredths(limit))",
      holds: ratio <= limit)
  }

  init(ratio: Double, atLeast limit: Double) {
    self.init(
      found: Self.hundredths(ratio), expected: "at least \(Self.hundredths(limit))",
      holds: ratio >= limit)
  }

  private static func hundredths(_ value: Double) -> String {
    "\((value * 100).rounded() / 100)"
  }
}
