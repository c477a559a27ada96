import CommandSupport
import Deterministic
import Model
import Tensor
import Train

/// A model with random weights and one batch of random tokens.
final class TimedModel {
  private let command: TrainCommand
  private let config: ModelConfig
  private let kernels: any Kernels
  private let model: Transformer
  private let gradients: Parameters
  private let optimizer: Optimizer
  private let ids: [Int32]
  private let starts: [Int]
  private var seconds: [Double] = []

  init(_ command: TrainCommand, attention: AttentionConfig, on kernels: any Kernels) throws {
    self.command = command
    self.kernels = kernels
    var config = ModelConfig(
      vocabularySize: command.vocabulary, width: command.width, layers: command.layers,
      heads: command.heads, hidden: command.hidden)
    command.headOptions.apply(to: &config)
    config.use(attention)
    try config.validate()
    self.config = config
    let parameters = try Parameters(config, on: kernels)
    try parameters.initialize(seed: 1)
    model = try Transformer(config, parameters: parameters, kernels: kernels)
    gradients = try Parameters(config, on: kernels)
    var optimizerConfig = OptimizerConfig()
    optimizerConfig.kind = command.optimizer
    optimizer = try Optimizer(optimizerConfig, model: config, on: kernels)
    let random = CounterRandom(seed: 2)
    ids = (0..<command.batch * command.length + 1).map {
      Int32(random.bits(UInt64($0)) % UInt64(command.vocabulary))
    }
    starts = (0...command.batch).map { $0 * command.length }
  }

  /// A step whose time counts or not.
  func runStep(_ step: Int, isCounted: Bool) throws {
    let began = command.timing.clock.now()
    try runStep(step)
    if isCounted {
      seconds.append(command.timing.clock.now() - began)
    }
  }

  /// Scoring, or gradients and an update.
  func runStep(_ step: Int) throws {
    let inputs = Array(ids.dropLast())
    let targets = Array(ids.dropFirst())
    if command.forward {
      _ = try model.nllNats(ids: inputs, targets: targets, starts: starts)
    } else {
      kernels.fill(gradients.all, with: 0)
      _ = try model.accumulateGradients(
        ids: inputs, targets: targets, starts: starts, gradientScale: 1 / Float(inputs.count),
        dropout: nil, draw: .training(seed: 1, step: step), into: gradients)
      optimizer.update(
        model.parameters, gradients: gradients, step: step, rate: 1e-4,
        gradientNorm: try Optimizer.norm(gradients, kernels: kernels), kernels: kernels)
      model.weightsChanged()
    }
  }

  func figures(peak: Double) -> TrainFigures {
    let typical = median(seconds)
    let lengths = Array(repeating: command.length, count: command.batch)
    let cost = Cost(config)
    let flops = command.forward ? cost.forward(lengths: lengths) : cost.training(lengths: lengths)
    let tokens = ids.count - 1
    let bytes = Activations.size(
      config, positions: tokens, training: !command.forward, on: kernels
    ).bytes(on: kernels)
    return TrainFigures(
      attention: "\(config.attention)", length: command.length,
      parameters: ParameterLayout(config).count, milliseconds: typical * 1e3,
      leastMilliseconds: (seconds.min() ?? 0) * 1e3, tokensPerSecond: Double(tokens) / typical,
      flopsPerToken: flops / Double(tokens),
      activationBytesPerToken: Double(bytes) / Double(tokens), peakFraction: flops / typical / peak,
      peakFlopsPerSecond: peak)
  }
}

/// What was measured of one attention.
struct TrainFigures: Encodable, CustomStringConvertible {
  let attention: String
  let length: Int
  let parameters: Int
  let milliseconds: Double
  let leastMilliseconds: Double
  let tokensPerSecond: Double
  let flopsPerToken: Double
  /// Planned activations, in bytes; those of the backward pass included in training.
  let activationBytesPerToken: Double
  /// Share of the matrix-product peak measured in the same process.
  let peakFraction: Double
  let peakFlopsPerSecond: Double

  var description: String {
    """
    attention       \(attention), sequences of \(length)
    parameters      \(Format.count(parameters))
    step            \(Format.decimal(milliseconds, 0)) ms \
    (least \(Format.decimal(leastMilliseconds, 0)) ms)
    tokens/s        \(Format.count(Int(tokensPerSecond)))
    work            \(Format.short(flopsPerToken))FLOP a token, \
    \(Format.bytes(Int(activationBytesPerToken))) of activations
    rate            \(Format.short(flopsPerToken * tokensPerSecond))FLOP/s, \
    \(Format.decimal(100 * peakFraction, 0)) % of the \(Format.short(peakFlopsPerSecond))FLOP/s \
    of the matrix product
    """
  }
}
