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

  @Flag(inversion: .prefixedNo, help: "Whether the head shares the embedding table.")
  var tiedHead: Bool?

  @Flag(
    inversion: .prefixedNo,
    help: "Whether the matrices onto the residual stream begin as zeros.")
  var zeroInitResidual: Bool?

  @Option(help: "Optimizer steps of the run.")
  var steps: Int?

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

  @Option(name: [.long, .customLong("learning-rate")], help: "Peak learning rate.")
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

  @Option(help: "Weight decay of matrices.")
  var weightDecay: Double?

  @Option(help: "Dropout probability.")
  var dropout: Float?

  @Option(
    help: ArgumentHelp(
      "What products read and write: float32, or bfloat16 on a card (the default there).",
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

  /// Applies the options to a configuration and fits it to a data set.
  func apply(to config: inout RunConfig, manifest: Manifest) throws {
    try applyModel(to: &config)
    set(&config.steps, steps)
    set(&config.batchTokens, batchTokens)
    set(&config.microBatchTokens, microBatchTokens)
    if let gradientShares { config.gradientShares = gradientShares }
    if let streamLength { config.data.streamLength = streamLength }
    set(&config.optimizer.kind, optimizer)
    set(&config.optimizer.rate, rate)
    if let embeddingRate { config.optimizer.embeddingRate = embeddingRate }
    if let ngramRate { config.optimizer.ngramRate = ngramRate }
    if let matrixRate { config.optimizer.matrixRate = matrixRate }
    if let muonForm { config.optimizer.muonForm = muonForm == .standard ? nil : muonForm }
    set(&config.optimizer.weightDecay, weightDecay)
    try applySoftmax(to: &config)
    set(&config.dropout, dropout)
    if let precision { config.precision = precision == .float32 ? nil : precision }
    set(&config.seed, seed)
    try applySchedule(to: &config)
    set(&config.safety.skipBudget, skipBudget)
    set(&config.safety.spikeDeviations, spikeDeviations)
    set(&config.safety.rewind, rewind)
    set(&config.report.logEvery, logEvery)
    set(&config.report.validateEvery, validateEvery)
    set(&config.report.validationSequences, validationSequences)
    set(&config.report.checkpointEvery, checkpointEvery)
    set(&config.report.keepLast, keepLast)
    set(&config.report.keepEvery, keepEvery)
    set(&config.report.sampleEvery, sampleEvery)
    guard config.model.vocabularySize == manifest.tokenizer.vocabularySize else {
      throw TrainingError.invalid(
        "the configuration is for \(config.model.vocabularySize) tokens, the data has "
          + "\(manifest.tokenizer.vocabularySize); use the data it was made for, or a preset")
    }
    config.model.bosID = manifest.special.bos
    config.model.eosID = manifest.special.eos
  }

  private func applySoftmax(to config: inout RunConfig) throws {
    if let softmaxCandidates {
      var sampled = config.sampledSoftmax ?? SampledSoftmaxConfig(candidates: softmaxCandidates)
      sampled.candidates = softmaxCandidates
      config.sampledSoftmax = softmaxCandidates == 0 ? nil : sampled
    }
    guard let fullSoftmaxShare else { return }
    guard config.sampledSoftmax != nil else {
      throw TrainingError.invalid(
        "--full-softmax-share goes with --softmax-candidates: without it all of the run is trained with "
          + "all tokens")
    }
    config.sampledSoftmax?.fullShare = fullSoftmaxShare
  }

  private func applyModel(to config: inout RunConfig) throws {
    set(&config.model.layers, layers)
    set(&config.model.width, width)
    set(&config.model.heads, heads)
    set(&config.model.hidden, hidden)
    set(&config.model.qkNorm, qkNorm)
    set(&config.model.bigramRows, bigramRows)
    set(&config.model.trigramRows, trigramRows)
    set(&config.model.tiedHead, tiedHead)
    set(&config.model.zeroInitResidual, zeroInitResidual)
    if let attention { config.model.use(attention) }
    if let position { config.model.position = position }
    if let relativeBiasLength { config.model.relativeBiasLength = relativeBiasLength }
  }

  private func applySchedule(to config: inout RunConfig) throws {
    let warmup = warmup ?? config.schedule.warmup
    switch schedule ?? config.schedule.kind {
    case "cosine":
      guard case .cosine(_, let floor) = config.schedule else {
        config.schedule = .cosine(warmup: warmup, floor: 0.1)
        return
      }
      config.schedule = .cosine(warmup: warmup, floor: floor)
    case "inverseSquareRoot": config.schedule = .inverseSquareRoot(warmup: warmup)
    case "warmupStableDecay":
      guard case .warmupStableDecay(_, let decay) = config.schedule else {
        config.schedule = .warmupStableDecay(warmup: warmup, decay: 0.4)
        return
      }
      config.schedule = .warmupStableDecay(warmup: warmup, decay: decay)
    case let name:
      throw TrainingError.invalid(
        "there is no schedule \"\(name)\"; choose one of "
          + Schedule.kinds.joined(separator: ", "))
    }
  }

  private func set<T>(_ target: inout T, _ value: T?) {
    if let value { target = value }
  }
}

// MARK: What is asked for

extension RunOptions {
  /// Refuses values that cannot be, each by the name of its option.
  func validate() throws {
    let ranges: [(name: String, value: Int?, least: Int, most: Int)] = [
      ("--layers", layers, 1, 1 << 20), ("--width", width, 1, 1 << 20),
      ("--heads", heads, 1, 1 << 20), ("--hidden", hidden, 1, 1 << 24),
      ("--relative-bias-length", relativeBiasLength, 1, 1 << 26),
      ("--steps", steps, 1, 1 << 32), ("--batch-tokens", batchTokens, 1, 1 << 26),
      ("--micro-batch-tokens", microBatchTokens, 1, 1 << 26),
      ("--gradient-shares", gradientShares, 1, 1 << 12),
      // A window of one token would see nothing but the token before.
      ("--stream-length", streamLength, 2, 1 << 26), ("--warmup", warmup, 0, 1 << 32),
      ("--skip-budget", skipBudget, 0, 1 << 32), ("--log-every", logEvery, 1, 1 << 32),
      ("--validate-every", validateEvery, 0, 1 << 32),
      ("--validation-sequences", validationSequences, 0, 1 << 40),
      ("--softmax-candidates", softmaxCandidates, 0, 1 << 24),
      ("--bigram-rows", bigramRows, 0, 1 << 28), ("--trigram-rows", trigramRows, 0, 1 << 28),
      ("--checkpoint-every", checkpointEvery, 0, 1 << 32), ("--keep-last", keepLast, 1, 1 << 32),
      ("--keep-every", keepEvery, 0, 1 << 32), ("--sample-every", sampleEvery, 0, 1 << 32),
    ]
    for (name, value, least, most) in ranges {
      guard let value, !(least...most).contains(value) else { continue }
      throw ValidationError(
        "\(name) is \(value), expected "
          + (value < least ? "\(least) or more" : "\(Format.count(most)) at most"))
    }
    try require("--rate", rate, "more than 0") { $0 > 0 }
    try require("--embedding-rate", embeddingRate, "more than 0") { $0 > 0 }
    try require("--ngram-rate", ngramRate, "more than 0") { $0 > 0 }
    try require("--matrix-rate", matrixRate, "more than 0") { $0 > 0 }
    try require("--full-softmax-share", fullSoftmaxShare, "0 to 1") { $0 >= 0 && $0 <= 1 }
    try require("--weight-decay", weightDecay, "0 or more") { $0 >= 0 }
    try require("--dropout", dropout.map(Double.init), "0 or more and less than 1") {
      $0 >= 0 && $0 < 1
    }
    try require("--spike-deviations", spikeDeviations, "0 or more") { $0 >= 0 }
    try require("--schedule", schedule, among: Schedule.kinds)
    try require("--preset", preset, among: Preset.all.map(\.name))
  }

  private func require(
    _ name: String, _ value: Double?, _ expected: String, _ holds: (Double) -> Bool
  ) throws {
    guard let value, !(value.isFinite && holds(value)) else { return }
    throw ValidationError("\(name) is \(value), expected \(expected)")
  }

  private func require(_ name: String, _ value: String?, among values: [String]) throws {
    guard let value, !values.contains(value) else { return }
    throw ValidationError(
      "\(name) is \"\(value)\", expected one of \(values.joined(separator: ", "))")
  }

  /// The first option that asks for another run than one that was begun, and what that has in its place.
  ///
  /// Steps and what is reported are not among them: they may change.
  func difference(from run: RunConfig) -> (found: String, expected: String)? {
    let model = run.model
    let pairs: [(name: String, found: String, asked: String?)] = [
      ("--attention", "\(model.attention)", attention.map { "\($0)" }),
      ("--position", model.position.rawValue, position?.rawValue),
      (
        "--relative-bias-length", "\(model.relativeBiasLength)",
        relativeBiasLength.map { "\($0)" }
      ),
      ("--layers", "\(model.layers)", layers.map { "\($0)" }),
      ("--width", "\(model.width)", width.map { "\($0)" }),
      ("--heads", "\(model.heads)", heads.map { "\($0)" }),
      ("--hidden", "\(model.hidden)", hidden.map { "\($0)" }),
      ("--batch-tokens", "\(run.batchTokens)", batchTokens.map { "\($0)" }),
      ("--micro-batch-tokens", "\(run.microBatchTokens)", microBatchTokens.map { "\($0)" }),
      ("--gradient-shares", "\(run.shares)", gradientShares.map { "\($0)" }),
      (
        "--stream-length", run.data.streamLength.map { "\($0)" } ?? "none",
        streamLength.map { "\($0)" }
      ),
      ("--optimizer", run.optimizer.kind.rawValue, optimizer?.rawValue),
      ("--rate", "\(run.optimizer.rate)", rate.map { "\($0)" }),
      (
        "--embedding-rate", "\(run.optimizer.embeddingRate ?? run.optimizer.rate)",
        embeddingRate.map { "\($0)" }
      ),
      (
        "--matrix-rate", "\(run.optimizer.matrixRate ?? run.optimizer.rate)",
        matrixRate.map { "\($0)" }
      ),
      (
        "--ngram-rate", "\(run.optimizer.ngramRate ?? OptimizerConfig.defaultNgramRate)",
        ngramRate.map { "\($0)" }
      ),
      ("--bigram-rows", "\(model.bigramRows)", bigramRows.map { "\($0)" }),
      ("--trigram-rows", "\(model.trigramRows)", trigramRows.map { "\($0)" }),
      (
        "--muon-form", (run.optimizer.muonForm ?? .standard).rawValue, muonForm?.rawValue
      ),
      (
        "--softmax-candidates", "\(run.sampledSoftmax?.candidates ?? 0)",
        softmaxCandidates.map { "\($0)" }
      ),
      (
        "--full-softmax-share", "\(run.sampledSoftmax?.fullShare ?? 1)",
        fullSoftmaxShare.map { "\($0)" }
      ),
      ("--weight-decay", "\(run.optimizer.weightDecay)", weightDecay.map { "\($0)" }),
      ("--schedule", run.schedule.kind, schedule),
      ("--warmup", "\(run.schedule.warmup)", warmup.map { "\($0)" }),
      ("--dropout", "\(run.dropout)", dropout.map { "\($0)" }),
      (
        "--precision", (run.precision ?? .float32).rawValue, precision?.rawValue
      ),
      ("--seed", "\(run.seed)", seed.map { "\($0)" }),
      ("--skip-budget", "\(run.safety.skipBudget)", skipBudget.map { "\($0)" }),
      (
        "--spike-deviations", "\(run.safety.spikeDeviations)",
        spikeDeviations.map { "\($0)" }
      ),
    ]
    for pair in pairs {
      if let asked = pair.asked, asked != pair.found {
        return ("\(pair.name) \(pair.found)", "\(pair.name) \(asked)")
      }
    }
    for (name, found, asked) in [
      ("tied-head", model.tiedHead, tiedHead),
      ("qk-norm", model.qkNorm, qkNorm),
      ("zero-init-residual", model.zeroInitResidual, zeroInitResidual),
      ("rewind", run.safety.rewind, rewind),
    ] {
      if let asked, asked != found {
        return (found ? "--\(name)" : "--no-\(name)", asked ? "--\(name)" : "--no-\(name)")
      }
    }
    return nil
  }
}

extension Position: ExpressibleByArgument {}
extension OptimizerKind: ExpressibleByArgument {}
extension MuonForm: ExpressibleByArgument {}
extension Precision: ExpressibleByArgument {}
