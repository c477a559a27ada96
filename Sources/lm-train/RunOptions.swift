import ArgumentParser
import CommandSupport
import LMData
import Model
import Tensor
import Train

/// The few things people change about a preset or a configuration file.
struct RunOptions: ParsableArguments {
  @Option(
    help: "Preset to begin with; --list-presets shows them. (default: \(PlanTable.defaultPreset))",
    completion: .list(Preset.all.map(\.name)))
  var preset: String?

  @Option(
    help: "JSON file with a whole run configuration, as a run folder holds it.",
    completion: .file(extensions: ["json"]))
  var config: String?

  @Option(
    help: ArgumentHelp(
      "Begin with the weights of a checkpoint, of a run's newest or RUN/best, or of a Llama, Qwen2 or "
        + "Qwen3 from elsewhere. The model is that one; data, schedule and optimizer are new.",
      valueName: "checkpoint"), completion: .directory)
  var initFrom: String?

  @Flag(
    inversion: .prefixedNo,
    help: ArgumentHelp(
      "Whether the embeddings, and a head that shares them, stay as --init-from has them; rows of pairs and "
        + "triples are trained on."))
  var freezeEmbedding: Bool?

  @Option(
    help: ArgumentHelp(
      "Attention of every layer: \(AttentionKind.allCases.map(\.rawValue).joined(separator: ", ")); "
        + "--list-attentions shows their options.",
      valueName: "kind[:option=value,...]"),
    completion: .list(AttentionKind.allCases.map(\.rawValue)),
    transform: { try AttentionConfig(parsing: $0) })
  var attention: AttentionConfig?

  @Option(help: "Positions: rotary, relativeBias or sinusoidal (the attention's own default).")
  var position: Position?

  @Option(help: "Distances of softmax's relative bias (32).")
  var relativeBiasLength: Int?

  @Option(help: "Layers.")
  var layers: Int?

  @Option(help: "Model width.")
  var width: Int?

  @Option(help: "Attention heads.")
  var heads: Int?

  @Option(
    help: ArgumentHelp(
      "Heads of keys and values, each of which serves several heads of queries; a divisor of --heads "
        + "(as many).", valueName: "heads"))
  var kvHeads: Int?

  @Option(help: "Width of a head (the model's by the heads).")
  var headDim: Int?

  @Flag(
    inversion: .prefixedNo,
    help: "Whether the products that make queries, keys and values have biases, as in Qwen2.")
  var qkvBias: Bool?

  @Option(help: "Feed-forward width (SwiGLU).")
  var hidden: Int?

  @Flag(
    inversion: .prefixedNo,
    help: "Whether queries and keys are normalised head by head, as in Qwen3; not with yoso.")
  var qkNorm: Bool?

  @Option(
    help: ArgumentHelp(
      "Rows of a table of hashed pairs of tokens that are added to the embeddings; 0 for none (0).",
      valueName: "rows"))
  var bigramRows: Int?

  @Option(
    help: ArgumentHelp("The same of triples; 0 for none (0).", valueName: "rows"))
  var trigramRows: Int?

  @Option(
    help: ArgumentHelp(
      "First ids of the clusters of the vocabulary but the first, for embeddings and a softmax that adapt to "
        + "the frequency of tokens, such as 8000,40000; none for one softmax over all (by the vocabulary "
        + "of word-level data; none otherwise).", valueName: "ids"))
  var cutoffs: Cutoffs?

  @Option(
    help: ArgumentHelp(
      "How much narrower the embeddings of a cluster are than those of the one before (4).",
      valueName: "factor"))
  var clusterFactor: Int?

  @Flag(inversion: .prefixedNo, help: "Whether the head shares the embedding table.")
  var tiedHead: Bool?

  @Flag(
    inversion: .prefixedNo,
    help: "Whether the matrices onto the residual stream begin as zeros.")
  var zeroInitResidual: Bool?

  @Option(help: "Optimizer steps of the run.")
  var steps: Int?

  @Option(help: "Passes over the training text, in place of --steps; 0.5 is half of it.")
  var epochs: Double?

  @Option(
    help: ArgumentHelp(
      "Validations in a row that are no better than the best, after which the run ends; 0 for none (0).",
      valueName: "validations"))
  var patience: Int?

  @Option(
    help: ArgumentHelp(
      "Keep a running average of the weights, of which this share stays at every step, such as 0.999; "
        + "0 for none (0). It is validated, and saved as ema.safetensors.", valueName: "decay"))
  var ema: Double?

  @Option(help: "Tokens of one optimizer step.")
  var batchTokens: Int?

  @Option(help: "Tokens computed at a time; bounds memory.")
  var microBatchTokens: Int?

  @Option(
    help: ArgumentHelp(
      "Parts of a step whose gradients are added in one order, a power of two: so many processes at "
        + "most can train the run, with the same bits (1; 8 where several begin it)."))
  var gradientShares: Int?

  @Option(help: "Window of stream mode in tokens; without it every sentence stands alone.")
  var streamLength: Int?

  @Option(help: "Optimizer of hidden matrices: adamW or muon; the rest takes AdamW.")
  var optimizer: OptimizerKind?

  @Option(
    name: [.long, .customLong("learning-rate"), .customLong("lr")], help: "Peak learning rate.")
  var rate: Double?

  @Option(help: "Peak learning rate of embeddings and head (that of --rate).")
  var embeddingRate: Double?

  @Option(help: "Peak learning rate of hidden matrices (that of --rate).")
  var matrixRate: Double?

  @Option(
    help: "Constant rate of rows of pairs and triples, the size of a row's first step (0.02).")
  var ngramRate: Double?

  @Option(
    help: ArgumentHelp(
      "How Muon makes its updates orthogonal: standard, or gram, which rounds otherwise and needs less "
        + "work (standard).", valueName: "form"))
  var muonForm: MuonForm?

  @Option(
    help: ArgumentHelp(
      "Tokens that the loss of training normalises over: those of the step and a rotating choice of "
        + "others; 0 for all (0). Validation and scoring always have all."))
  var softmaxCandidates: Int?

  @Option(
    help: "Share of the run, at its end, that is trained with all tokens all the same (0.15).")
  var fullSoftmaxShare: Double?

  @Option(
    help: "Schedule: \(Schedule.kinds.joined(separator: ", ")).",
    completion: .list(Schedule.kinds))
  var schedule: String?

  @Option(help: "Warm-up in steps.")
  var warmup: Int?

  @Option(
    help: "Share of the run, at its end, in which warmupStableDecay falls to 0 (the preset's).")
  var decayShare: Double?

  @Option(help: "Weight decay of matrices.")
  var weightDecay: Double?

  @Option(
    name: [.long, .customLong("clip-norm")],
    help: ArgumentHelp(
      "Largest norm of a step's gradient, which is scaled down to it; 0 for any (1).",
      valueName: "norm"))
  var gradClip: Double?

  @Option(
    help: ArgumentHelp(
      "Shares of AdamW's two moments that stay at every step (0.9,0.95).", valueName: "b1,b2"))
  var betas: Betas?

  @Option(help: "Dropout probability.")
  var dropout: Float?

  @Option(
    help: ArgumentHelp(
      "What products read: float32, or bfloat16 (the default on a card; faster on some processors).",
      valueName: "precision"))
  var precision: Precision?

  @Option(help: "Seed of initial weights, order and dropout.")
  var seed: UInt64?

  @Option(help: "Steps in a row with a loss that is not finite that are skipped, not more.")
  var skipBudget: Int?

  @Option(help: "Deviations above the mean that make a loss a spike; 0 for never.")
  var spikeDeviations: Double?

  @Flag(
    inversion: .prefixedNo,
    help: "Whether a spike goes back to the last scheduled checkpoint and past the data since.")
  var rewind: Bool?

  @Option(help: "Steps between progress lines.")
  var logEvery: Int?

  @Option(help: "Steps between validations; 0 for the end only.")
  var validateEvery: Int?

  @Option(help: "Sequences of each validation; 0 for the whole split.")
  var validationSequences: Int?

  @Option(help: "Steps between checkpoints; 0 for the end only.")
  var checkpointEvery: Int?

  @Option(help: "Newest checkpoints to keep; the one with the best validation is kept as well.")
  var keepLast: Int?

  @Option(help: "Keep every checkpoint whose step is a multiple of this; 0 for none.")
  var keepEvery: Int?

  @Option(help: "Steps between samples of the model's own sentences in samples.jsonl; 0 for none.")
  var sampleEvery: Int?
}

/// First ids of clusters, written `8000,40000`, or `none`.
struct Cutoffs: ExpressibleByArgument, Equatable, CustomStringConvertible {
  let ids: [Int]

  init(ids: [Int]) { self.ids = ids }

  /// Nil for anything but `none` and whole numbers above 0, each larger than the one before.
  init?(argument: String) {
    if argument == "none" {
      ids = []
      return
    }
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Int($0.drop { $0 == " " }) }
    guard numbers.count == parts.count, zip([0] + numbers, numbers).allSatisfy(<) else {
      return nil
    }
    ids = numbers
  }

  var description: String {
    ids.isEmpty ? "none" : ids.map { "\($0)" }.joined(separator: ",")
  }
}

/// Both decay rates of AdamW's moments, written `0.9,0.95`.
struct Betas: ExpressibleByArgument, Equatable, CustomStringConvertible {
  let first: Double
  let second: Double

  init(first: Double, second: Double) {
    self.first = first
    self.second = second
  }

  /// Nil for anything but two numbers from 0 to below 1.
  init?(argument: String) {
    let parts = argument.split(separator: ",", omittingEmptySubsequences: false)
    let numbers = parts.compactMap { Double($0.drop { $0 == " " }) }
    guard parts.count == 2, numbers.count == 2, numbers.allSatisfy((0..<1).contains) else {
      return nil
    }
    self.init(first: numbers[0], second: numbers[1])
  }

  var description: String { "\(first),\(second)" }
}

extension Position: ExpressibleByArgument {}
extension OptimizerKind: ExpressibleByArgument {}
extension MuonForm: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {
  package init?(argument: String) { self.init(named: argument) }
}
