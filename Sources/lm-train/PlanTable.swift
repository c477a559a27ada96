import CommandSupport
import Deterministic
import Foundation
import LMData
import Model
import Tensor
import Train

/// What a run is and needs, as it is printed before its first step.
enum PlanTable {
  /// What the steps will hold; where a shard cannot be read that is said, and nothing is foreseen.
  static func forecast(_ config: RunConfig, _ dataSet: DataSet?) -> StepForecast? {
    guard let dataSet else {
      return StepForecast(
        steps: config.steps,
        lengths: config.data.streamLength.map { [$0] } ?? AssumedData.lengths,
        budget: config.batchTokens)
    }
    do {
      return try StepForecast(config, dataSet: dataSet)
    } catch {
      Terminal.note(
        "lm-train: note: the plan takes the sentences of a shard for equally long: \(error)")
      return nil
    }
  }

  /// Under a plan for the benchmark.
  static let assumption =
    "assumed       the benchmark's sentences and words, and \(AssumedData.tokensPerWord) tokens a "
    + "word, each with one </s> a sentence;\n              lengths spread by half their mean (a gamma "
    + "distribution of shape 4)"

  /// - Parameters:
  ///   - config: The run.
  ///   - plan: What it needs.
  ///   - peak: Measured FLOPs per second of products.
  ///   - manifest: Of its data.
  ///   - device: The card, or nil for this processor.
  static func describe(
    _ config: RunConfig, _ plan: TrainingPlan, peak: Double, manifest: Manifest, device: String?
  ) -> String {
    let model = config.model
    let totals = manifest.totals(of: config.data.trainSplit)
    let rows: [[String]?] = [
      ["preset", config.preset],
      [
        "model",
        "\(Format.count(model.layers, "layer")) of \(model.width), "
          + "\(heads(model)), hidden \(model.hidden), "
          + "\(Format.count(model.vocabularySize, "token")), head "
          + (model.tiedHead ? "tied" : "untied") + clusters(model)
          + (model.zeroInitResidual ? ", outputs of branches begin as zeros" : ""),
      ],
      [
        "attention",
        "\(model.attention), \(model.position.rawValue) positions"
          + (model.qkNorm ? ", queries and keys normalised" : "")
          + (model.outputBias
            ? ", with biases" : model.qkvBias ? ", queries, keys and values with biases" : ""),
      ],
      config.initialWeights.map { ["begins with", origin($0, config)] },
      ["parameters", Format.count(plan.parameters) + ngrams(model)],
      [
        "data",
        "\(Format.count(totals.sentences, "sentence")), \(Format.count(totals.words, "word")), "
          + "\(Format.count(plan.tokensPerEpoch, "token")) an epoch",
      ],
      ["run", run(config, plan)],
      ["optimizer", recipe(config)],
      [
        "memory",
        "\(Format.bytes(plan.bytes)): weights, gradients and moments "
          + "\(Format.bytes(plan.parameterBytes)), activations of "
          + "\(Format.count(plan.positions, "position")) \(Format.bytes(plan.activationBytes)), "
          + "kernels \(Format.bytes(plan.workingBytes)), shards \(Format.bytes(plan.dataBytes)), "
          + "program \(Format.bytes(plan.programBytes))",
      ],
      [
        "work",
        "\(Format.short(plan.trainingFlopsPerToken))FLOP a token in training, "
          + "\(Format.short(plan.forwardFlopsPerToken))FLOP in scoring",
      ],
      [
        "machine",
        "\(Format.short(peak))FLOP/s in matrix products on "
          + (device.map { "\($0), in \((config.precision ?? .float32).rawValue)" }
            ?? Format.count(Parallel.threads, "thread")) + "; "
          + "about \(Format.duration(plan.seconds(at: 0.65 * peak))) at 65 % of that",
      ],
    ]
    return rows.compactMap { $0 }.map { padded($0[0]) + "  " + $0[1] }.joined(separator: "\n")
  }

  /// Where the weights are from, and whether the embeddings stay.
  private static func origin(_ weights: InitialWeights, _ config: RunConfig) -> String {
    "\(weights)" + (weights.step.map { ", \(Format.count($0, "step"))" } ?? "")
      + (config.optimizer.freezesEmbedding == true ? "; the embeddings stay as they are" : "")
  }

  /// Steps, tokens and epochs, and sentences that are a step by themselves.
  private static func run(_ config: RunConfig, _ plan: TrainingPlan) -> String {
    let about = plan.isExact ? "" : "about "
    var line =
      "\(Format.count(config.steps, "step")) of up to "
      + "\(Format.count(config.batchTokens, "token")), "
      + "\(about)\(Format.count(plan.tokens)) in all, \(about)\(epochs(plan.epochs))"
    if plan.sequencesBeyondStep > 0 {
      let kind = config.data.streamLength == nil ? "sentence" : "window"
      line +=
        "; \(about)\(Format.count(plan.sequencesBeyondStep, "step")) "
        + (plan.sequencesBeyondStep == 1 ? "is" : "are")
        + " one \(kind) beyond that, the longest of \(Format.count(plan.longestBeyondStep, "token"))"
    }
    return line
  }

  /// `2.31 epochs`, with two figures where they are few.
  static func epochs(_ value: Double) -> String {
    var decimals = value < 10 ? 2 : value < 100 ? 1 : 0
    while value > 0, value < 0.1, decimals < 9, value * pow(10, Double(decimals)) < 10 {
      decimals += 1
    }
    return Format.decimal(value, decimals) + (value == 1 ? " epoch" : " epochs")
  }

  /// Optimizer, rate, schedule and seed.
  private static func recipe(_ config: RunConfig) -> String {
    "\(config.optimizer.kind.rawValue)\(config.optimizer.muonForm.map { " in \($0.rawValue) form" } ?? ""), "
      + rates(config.optimizer) + loss(config)
      + "\(schedule(config.schedule)), weight decay \(number(config.optimizer.weightDecay)), "
      + "clipping at \(number(config.optimizer.clipNorm)), dropout \(number(Double(config.dropout))), "
      + (config.averageDecay.map { "average of the weights with \(number($0)), " } ?? "")
      + (config.precision.map { "products in \($0.rawValue), " } ?? "") + "seed \(config.seed)"
  }

  /// Heads, and what is particular about them.
  private static func heads(_ model: ModelConfig) -> String {
    Format.count(model.heads, "head")
      + (model.ownHeadWidth.map { " of \($0)" } ?? "")
      + (model.isGrouped ? " that share \(model.keyValueHeads) of keys and values" : "")
  }

  /// Ids and width of every cluster of the vocabulary.
  private static func clusters(_ model: ModelConfig) -> String {
    guard let clusters = model.clusters else { return "" }
    let parts = zip(clusters.ranges, clusters.widths).map {
      "\(Format.count($0.count)) of \($1)"
    }
    return " in clusters of " + parts.joined(separator: ", ")
  }

  private static func ngrams(_ model: ModelConfig) -> String {
    model.ngrams.map {
      ", and \(Format.count($0.count, "row")) of "
        + ($0.order == 2 ? "pairs" : "triples") + " of tokens"
    }.joined()
  }

  private static func rates(_ optimizer: OptimizerConfig) -> String {
    let own = [("embeddings", optimizer.embeddingRate), ("matrices", optimizer.matrixRate)]
    return "rate \(number(optimizer.rate)), "
      + own.compactMap { name, rate in rate.map { "of \(name) \(number($0)), " } }.joined()
  }

  /// What the loss of training normalises over, where it is not all.
  private static func loss(_ config: RunConfig) -> String {
    guard let sampled = config.sampledSoftmax else { return "" }
    return "softmax over \(Format.count(sampled.candidates, "token")) until the last "
      + "\(number(100 * sampled.fullShare)) %, "
  }

  private static func schedule(_ schedule: Schedule) -> String {
    let warmup = "after \(Format.count(schedule.warmup, "step")) of warm-up"
    switch schedule {
    case .cosine(_, let floor): return "cosine to \(number(floor)) of it \(warmup)"
    case .inverseSquareRoot: return "inverseSquareRoot \(warmup)"
    case .warmupStableDecay(_, let decay):
      return "warmupStableDecay over the last \(number(100 * decay)) % \(warmup)"
    }
  }

  /// `0.002`, `2`: no more digits than a person would write.
  static func number(_ value: Double) -> String { String(format: "%.6g", value) }

  private static func padded(_ text: String, to width: Int = 12) -> String {
    text + String(repeating: " ", count: max(0, width - text.count))
  }

  // MARK: Presets

  /// The preset that a run takes without `--preset`.
  static let defaultPreset = "quickstart"

  /// All presets with what they are made of.
  static func presets() -> String {
    let column = (Preset.all.map(\.name.count).max() ?? 0) + 2
    let margin = String(repeating: " ", count: column)
    return Preset.all.map { preset in
      let config = preset.config(vocabularySize: preset.vocabularySize)
      let model = config.model
      let isDefault = preset.name == defaultPreset ? " (the default)" : ""
      return """
        \(padded(preset.name, to: column))\(preset.summary)\(isDefault)
        \(margin)\(Format.count(model.layers, "layer")) of \(model.width), \
        \(Format.count(model.heads, "head")), hidden \(model.hidden), \
        \(model.attention) attention; \(Format.count(config.steps, "step")) of \
        \(Format.count(config.batchTokens, "token"))
        \(margin)\(recipe(config))
        """
    }.joined(separator: "\n")
  }
}
