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
      The defaults are the shapes that PyTorch was measured on: 6 layers of 512.
      Several attentions take turns, step by step, so that a slow moment of the
      machine meets all of them.

      EXAMPLES

        lm-bench train
        lm-bench train --forward
        lm-bench train --precision bfloat16
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
  @Option(help: "adamW, or muon for the hidden matrices.") var optimizer = OptimizerKind.adamW
  @Flag(help: "Score only: forward, no gradients, no update.") var forward = false
  @OptionGroup var headOptions: HeadOptions
  @OptionGroup var place: PlaceOptions
  @OptionGroup var timing: TimingOptions

  func validate() throws {
    for (name, value) in [("length", length), ("batch", batch), ("steps", steps)] where value < 1 {
      throw ValidationError("--\(name) is \(value), expected 1 or more")
    }
  }

  func run() throws {
    timing.apply()
    let kernels = try place.kernels()
    let runs = try attention.map { try TimedModel(self, attention: $0, on: kernels) }
    let peak = try MatrixPeak.measure(kernels, now: timing.clock.now)
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

extension OptimizerKind: ExpressibleByArgument {}
