import ArgumentParser
import Bench
import CommandSupport
import LMData
import Model
import Roofline
import Storage
import Tensor
import Train

/// Speed of training on real sentences, of which no two have the same length.
struct SentencesCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sentences", abstract: "Time training on the sentences of real shards.",
    discussion: """
      Batches of so many sentences in the order of training, laid end to end without
      padding. --lengths writes the lengths of every batch's sentences, one line a
      batch, for scripts/reference/torch_decoder.py, which pads them. The first two
      batches are not timed.

      EXAMPLE

        lm-bench sentences --data data/1bw --sentences 64 --steps 8 \\
          --lengths lengths.txt
      """)

  @Option(help: "Folder of shards made by lm-tokenize.") var data: String
  @Option(help: "Split of it.") var split = "train"
  @Option(help: "Layers.") var layers = 6
  @Option(help: "Model width.") var width = 512
  @Option(help: "Attention heads.") var heads = 8
  @Option(help: "Feed-forward width.") var hidden = 1_408
  @Option(help: "Sentences of a step.") var sentences = 64
  @Option(help: "Timed steps.") var steps = 8
  @Option(
    help: ArgumentHelp("Attention as lm-train takes it.", valueName: "kind"),
    transform: { try AttentionConfig(parsing: $0) })
  var attention = AttentionConfig.softmax
  @Flag(help: "Score only: forward, no gradients, no update.") var forward = false
  @Option(help: ArgumentHelp("File for the lengths of the batches.", valueName: "file"))
  var lengths: String?
  @OptionGroup var timing: TimingOptions

  private struct Figures: Encodable {
    let attention: String
    let parameters: Int
    let sentences: Int
    let tokens: Int
    let longestSentence: Int
    /// Positions of batches padded to their longest sentence, for each token.
    let padding: Double
    let milliseconds: Double
    let tokensPerSecond: Double
    let flopsPerToken: Double
    let peakFraction: Double
    let peakFlopsPerSecond: Double
  }

  func validate() throws {
    for (name, value) in [("sentences", sentences), ("steps", steps)] where value < 1 {
      throw ValidationError("--\(name) is \(value), expected 1 or more")
    }
  }

  func run() throws {
    timing.apply()
    let dataSet = try DataSet(directory: data)
    var config = ModelConfig(
      vocabularySize: dataSet.manifest.tokenizer.vocabularySize, width: width, layers: layers,
      heads: heads, hidden: hidden)
    config.use(attention)
    try config.validate()
    let all = try SentenceBatches(dataSet, split: split, count: steps + 2, sentences: sentences)
    if let lengths { try AtomicFile.write(Array(all.lengths.utf8), to: lengths) }
    let model = try StepModel(config)
    let peak = try MatrixPeak.measure(benchKernels, now: timing.clock.now)
    var seconds: [Double] = []
    for (index, batch) in all.batches.enumerated() {
      let began = timing.clock.now()
      try model.run(batch, step: index + 1, forward: forward)
      if index >= 2 { seconds.append(timing.clock.now() - began) }
    }
    let timed = all.batches.dropFirst(2)
    let lengths = timed.flatMap { batch in (0..<batch.sequences).map { batch.range(of: $0).count } }
    let total = seconds.reduce(0, +)
    let tokens = lengths.reduce(0, +)
    let cost = Cost(config)
    let flops = forward ? cost.forward(lengths: lengths) : cost.training(lengths: lengths)
    show(
      Figures(
        attention: "\(config.attention)", parameters: ParameterLayout(config).count,
        sentences: lengths.count, tokens: tokens, longestSentence: lengths.max() ?? 0,
        padding: all.padding, milliseconds: total / Double(steps) * 1e3,
        tokensPerSecond: Double(tokens) / total, flopsPerToken: flops / Double(tokens),
        peakFraction: flops / total / peak, peakFlopsPerSecond: peak))
  }

  private func show(_ figures: Figures) {
    if timing.json, let bytes = try? JSONFile.encode(figures) {
      print(String(decoding: bytes, as: UTF8.self), terminator: "")
      return
    }
    print(
      """
      attention       \(figures.attention)
      sentences       \(Format.count(figures.sentences)) of \
      \(Format.decimal(Double(figures.tokens) / Double(figures.sentences), 1)) tokens, the longest \
      of \(figures.longestSentence); padded they are \(Format.decimal(figures.padding, 2)) times as long
      step            \(Format.decimal(figures.milliseconds, 0)) ms
      tokens/s        \(Format.count(Int(figures.tokensPerSecond)))
      rate            \(Format.short(figures.flopsPerToken * figures.tokensPerSecond))FLOP/s, \
      \(Format.decimal(100 * figures.peakFraction, 0)) % of the \
      \(Format.short(figures.peakFlopsPerSecond))FLOP/s of the matrix product
      """)
  }
}

/// A model with random weights that takes whole steps.
final class StepModel {
  let model: Transformer
  private let gradients: Parameters
  private let optimizer: Optimizer

  init(_ config: ModelConfig) throws {
    let parameters = try Parameters(config, on: benchKernels)
    try parameters.initialize(seed: 1)
    model = try Transformer(config, parameters: parameters, kernels: benchKernels)
    gradients = try Parameters(config, on: benchKernels)
    optimizer = try Optimizer(OptimizerConfig(), model: config, on: benchKernels)
  }

  /// A training step, or the scores of the batch alone.
  func run(_ batch: Batch, step: Int, forward: Bool) throws {
    if forward {
      _ = try model.nllNats(ids: batch.ids, targets: batch.targets, starts: batch.starts)
      return
    }
    benchKernels.fill(gradients.all, with: 0)
    _ = try model.accumulateGradients(
      ids: batch.ids, targets: batch.targets, starts: batch.starts,
      gradientScale: 1 / Float(batch.positions), dropout: nil,
      draw: .training(seed: 1, step: step), into: gradients)
    optimizer.update(
      model.parameters, gradients: gradients, step: step, rate: 1e-4,
      gradientNorm: try Optimizer.norm(gradients, kernels: model.kernels), kernels: model.kernels)
    model.weightsChanged()
  }
}
