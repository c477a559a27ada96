import ArgumentParser
import CommandSupport
import Deterministic
import Model
import Roofline
import Storage
import Tensor
import Train

/// Speed of a whole training step or of scoring, beside the machine's matrix-product peak.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train", abstract: "Time whole training steps of a decoder.",
    discussion: """
      The defaults are the shapes that PyTorch was measured on: 6 layers of 512. Several attentions
      take turns, step by step, so that a slow moment of the machine meets all of them.

      EXAMPLES

        lm-bench train
        lm-bench train --forward
        lm-bench train --attention softmax hierarchical --length 1024 --batch 2
      """)

  @Option(help: "Layers.") var layers = 6
  @Option(help: "Model width.") var width = 512
  @Option(help: "Attention heads.") var heads = 8
  @Option(help: "Feed-forward width.") var hidden = 1_408
  @Option(
    name: [.customLong("vocab-size"), .customLong("vocabulary")], help: "Tokens of the vocabulary.")
  var vocabulary = 32_000
  @Option(help: "Length of every sequence, in tokens.") var length = 256
  @Option(help: "Sequences of a step.") var batch = 8
  @Option(help: "Timed steps; the median counts.") var steps = 6
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Attentions as lm-train takes them.", valueName: "kind"),
    transform: { try AttentionConfig(parsing: $0) })
  var attention = [AttentionConfig.softmax]
  @Flag(help: "Score only: forward, no gradients, no update.") var forward = false
  @OptionGroup var timing: TimingOptions

  func validate() throws {
    for (name, value) in [("length", length), ("batch", batch), ("steps", steps)] where value < 1 {
      throw ValidationError("--\(name) is \(value), expected 1 or more")
    }
  }

  func run() throws {
    timing.apply()
    let runs = try attention.map { try TimedModel(self, attention: $0) }
    let peak = try MatrixPeak.measure(benchKernels, now: timing.clock.now)
    for step in 1...steps + 2 {
      // Two steps touch memory for the first time and are not counted.
      for run in runs { try run.runStep(step, isCounted: step > 2) }
    }
    let figures = runs.map { $0.figures(peak: peak) }
    if timing.json {
      print(String(decoding: try JSONFile.encode(figures), as: UTF8.self), terminator: "")
    } else {
      print(figures.map(\.description).joined(separator: "\n\n"))
    }
  }
}

/// What was measured of one attention.
private struct TrainFigures: Encodable, CustomStringConvertible {
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

/// A model with random weights and one batch of random tokens.
private final class TimedModel {
  private let command: TrainCommand
  private let config: ModelConfig
  private let model: Transformer
  private let gradients: Parameters
  private let optimizer: Optimizer
  private let ids: [Int32]
  private let starts: [Int]
  private var seconds: [Double] = []

  init(_ command: TrainCommand, attention: AttentionConfig) throws {
    self.command = command
    var config = ModelConfig(
      vocabularySize: command.vocabulary, width: command.width, layers: command.layers,
      heads: command.heads, hidden: command.hidden)
    config.use(attention)
    try config.validate()
    self.config = config
    let parameters = try Parameters(config, on: benchKernels)
    try parameters.initialize(seed: 1)
    model = try Transformer(config, parameters: parameters, kernels: benchKernels)
    gradients = try Parameters(config, on: benchKernels)
    optimizer = try Optimizer(OptimizerConfig(), model: config, on: benchKernels)
    let random = CounterRandom(seed: 2)
    ids = (0..<command.batch * command.length + 1).map {
      Int32(random.bits(UInt64($0)) % UInt64(command.vocabulary))
    }
    starts = (0...command.batch).map { $0 * command.length }
  }

  func runStep(_ step: Int, isCounted: Bool) throws {
    let began = command.timing.clock.now()
    let inputs = Array(ids.dropLast())
    let targets = Array(ids.dropFirst())
    if command.forward {
      _ = try model.nllNats(ids: inputs, targets: targets, starts: starts)
    } else {
      benchKernels.fill(gradients.all, with: 0)
      _ = try model.accumulateGradients(
        ids: inputs, targets: targets, starts: starts, gradientScale: 1 / Float(inputs.count),
        dropout: nil, draw: .training(seed: 1, step: step), into: gradients)
      optimizer.update(
        model.parameters, gradients: gradients, step: step, rate: 1e-4,
        gradientNorm: try Optimizer.norm(gradients, kernels: model.kernels), kernels: model.kernels)
      model.weightsChanged()
    }
    if isCounted {
      seconds.append(command.timing.clock.now() - began)
    }
  }

  func figures(peak: Double) -> TrainFigures {
    let typical = median(seconds)
    let lengths = Array(repeating: command.length, count: command.batch)
    let cost = Cost(config)
    let flops = command.forward ? cost.forward(lengths: lengths) : cost.training(lengths: lengths)
    let tokens = ids.count - 1
    let bytes = Activations.size(
      config, positions: tokens, training: !command.forward, on: benchKernels
    ).bytes(on: benchKernels)
    return TrainFigures(
      attention: "\(config.attention)", length: command.length,
      parameters: ParameterLayout(config).count, milliseconds: typical * 1e3,
      leastMilliseconds: (seconds.min() ?? 0) * 1e3, tokensPerSecond: Double(tokens) / typical,
      flopsPerToken: flops / Double(tokens),
      activationBytesPerToken: Double(bytes) / Double(tokens), peakFraction: flops / typical / peak,
      peakFlopsPerSecond: peak)
  }
}
