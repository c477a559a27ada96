package import LMData
package import Model
package import Tensor

/// Everything that decides the result of a run; written as JSON beside its checkpoints.
package struct RunConfig: Codable, Sendable, Equatable {
  /// Name of the preset it began as; for reports only.
  package var preset: String
  /// Initial weights, order of the data and dropout follow from it.
  package var seed: UInt64 = 1
  package var model: ModelConfig
  /// Where the weights are from that the run begins with; nil where they are drawn.
  package var initialWeights: InitialWeights?
  package var data = DataConfig()
  /// Optimizer steps of the whole run.
  package var steps: Int
  /// Targets of one optimizer step, in tokens; a step takes whole sentences up to it.
  package var batchTokens: Int
  /// Targets computed at a time; it bounds memory and changes gradients by rounding only.
  package var microBatchTokens: Int = 4_096
  /// Parts into which every step is cut, a power of two; nil for one.
  ///
  /// The sum of their gradients is that of a binary tree, whoever computed them (`ShareTree`): so many
  /// processes at most can train the run together, with the bits of one.
  package var gradientShares: Int?
  /// What products read and write; nil for float32.
  package var precision: Precision?
  package var optimizer = OptimizerConfig()
  /// Share of the running average of the weights that stays at every step; nil without an average.
  package var averageDecay: Double?
  package var schedule: Schedule
  /// The loss of training over some of the vocabulary; nil for all of it.
  package var sampledSoftmax: SampledSoftmaxConfig?
  /// Probability on embeddings and on the output of every branch.
  package var dropout: Float = 0
  package var safety = SafetyConfig()
  package var report = ReportConfig()

  package init(
    preset: String, model: ModelConfig, steps: Int, batchTokens: Int, schedule: Schedule
  ) {
    self.preset = preset
    self.model = model
    self.steps = steps
    self.batchTokens = batchTokens
    self.schedule = schedule
  }

  /// Parts into which every step is cut.
  package var shares: Int { gradientShares ?? 1 }

  /// The learning rate of a step, from 1.
  package func rate(step: Int) -> Double {
    schedule.rate(step: step, of: steps, peak: optimizer.rate)
  }

  /// Throws the first thing that is wrong, before any work.
  package func validate() throws {
    try model.validate()
    try schedule.validate()
    func require(_ condition: Bool, _ problem: String) throws {
      guard condition else { throw TrainingError.invalid(problem) }
    }
    for (name, value, most) in [
      ("steps", steps, 1 << 32), ("batchTokens", batchTokens, 1 << 26),
      ("microBatchTokens", microBatchTokens, 1 << 26),
      ("streamLength", data.streamLength ?? 1, 1 << 26),
    ] {
      try require((1...most).contains(value), "\(name) is \(value), expected 1 to \(most)")
    }
    try require(
      (1...1 << 12).contains(shares) && shares & (shares - 1) == 0,
      "gradientShares is \(shares), expected a power of two up to \(1 << 12)")
    try require(
      dropout >= 0 && dropout < 1, "dropout is \(dropout), expected 0 or more and less than 1")
    try optimizer.validate()
    try require(
      optimizer.ngramRate == nil || !model.ngrams.isEmpty,
      "ngramRate goes with bigram_rows or trigram_rows, which are 0; leave out --ngram-rate, or give "
        + "--bigram-rows or --trigram-rows")
    if !model.cutoffs.isEmpty {
      try require(
        sampledSoftmax == nil,
        "sampledSoftmax is set, but the head has clusters (adaptive_cutoffs), of which a step computes what "
          + "its tokens need already; leave out --softmax-candidates, or give --cutoffs none")
      try require(
        optimizer.freezesEmbedding != true,
        "freezesEmbedding is true, but the embeddings are in clusters (adaptive_cutoffs), which are not "
          + "frozen; leave out --freeze-embedding")
    }
    if let sampledSoftmax {
      try require(
        (2..<model.vocabularySize).contains(sampledSoftmax.candidates),
        "the candidates of the loss are \(sampledSoftmax.candidates), expected 2 or more and fewer than the "
          + "\(model.vocabularySize) tokens")
      try require(
        sampledSoftmax.fullShare >= 0 && sampledSoftmax.fullShare <= 1,
        "fullShare of sampledSoftmax is \(sampledSoftmax.fullShare), expected 0 to 1")
    }
    if let averageDecay {
      try require(
        averageDecay > 0 && averageDecay < 1,
        "averageDecay is \(averageDecay), expected more than 0 and less than 1")
      try require(
        model.ngrams.isEmpty,
        "a running average of the weights (--ema) has no rows of pairs and triples; leave out --ema"
          // The model of other weights is what it is.
          + (initialWeights == nil ? ", or give --bigram-rows 0 --trigram-rows 0" : ""))
    }
    try require(
      report.patience ?? 1 >= 1, "patience is \(report.patience ?? 0), expected 1 or more")
    try require(
      report.patience == nil || report.validateEvery > 0,
      "patience counts validations, of which there is only one with validateEvery 0; give "
        + "--validate-every")
    try require(
      safety.skipBudget >= 0 && safety.spikeDeviations >= 0 && safety.rewindBudget >= 0,
      "skipBudget, spikeDeviations and rewindBudget must not be negative")
    try require(
      !safety.rewind || (report.checkpointEvery > 0 && safety.spikeDeviations > 0),
      "rewinding goes back to scheduled checkpoints: checkpointEvery and spikeDeviations must be "
        + "positive")
    try require(
      report.logEvery >= 1 && report.validateEvery >= 0 && report.checkpointEvery >= 0
        && report.keepLast >= 1 && report.keepEvery >= 0 && report.validationSequences >= 0
        && report.checkpointMinutes >= 0 && report.sampleEvery >= 0,
      "logEvery and keepLast must be 1 or more, the other report settings 0 (never, or all) or more"
    )
  }
}

extension RunConfig {
  /// As written by this and by earlier versions, which had no `safety`, no `gradientShares`, no
  /// `precision` and no `sampledSoftmax`.
  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    preset = try fields.decode(String.self, forKey: .preset)
    seed = try fields.decode(UInt64.self, forKey: .seed)
    model = try fields.decode(ModelConfig.self, forKey: .model)
    initialWeights = try fields.decodeIfPresent(InitialWeights.self, forKey: .initialWeights)
    data = try fields.decode(DataConfig.self, forKey: .data)
    steps = try fields.decode(Int.self, forKey: .steps)
    batchTokens = try fields.decode(Int.self, forKey: .batchTokens)
    microBatchTokens = try fields.decode(Int.self, forKey: .microBatchTokens)
    gradientShares = try fields.decodeIfPresent(Int.self, forKey: .gradientShares)
    precision = try fields.decodeIfPresent(Precision.self, forKey: .precision)
    optimizer = try fields.decode(OptimizerConfig.self, forKey: .optimizer)
    averageDecay = try fields.decodeIfPresent(Double.self, forKey: .averageDecay)
    schedule = try fields.decode(Schedule.self, forKey: .schedule)
    sampledSoftmax = try fields.decodeIfPresent(
      SampledSoftmaxConfig.self, forKey: .sampledSoftmax)
    dropout = try fields.decode(Float.self, forKey: .dropout)
    safety = try fields.decodeIfPresent(SafetyConfig.self, forKey: .safety) ?? SafetyConfig()
    report = try fields.decode(ReportConfig.self, forKey: .report)
  }
}

/// What the run reads.
package struct DataConfig: Codable, Sendable, Equatable {
  /// Window of stream mode in tokens, or nil for sentence mode.
  ///
  /// In sentence mode every sentence is a sequence; in stream mode the text is one stream, cut into
  /// windows of this length.
  package var streamLength: Int?
  package var trainSplit = "train"
  package var validSplit = "valid"

  /// How batches are cut.
  package var mode: SequenceMode {
    streamLength.map { .stream(length: $0) } ?? .sentences
  }
}

/// When the run says and saves something, and when it ends before its last step; a step's weights never
/// depend on it.
package struct ReportConfig: Codable, Sendable, Equatable {
  /// Steps between progress lines and metrics.
  package var logEvery = 10
  /// Steps between validations; 0 for the last step only.
  package var validateEvery = 250
  /// Sequences of the validation split that are scored each time, from its start; 0 for all.
  package var validationSequences = 2_000
  /// Steps between checkpoints; 0 for the last step only.
  package var checkpointEvery = 250
  /// Minutes of training after which a checkpoint is due whatever the step; 0 for never.
  package var checkpointMinutes = 30.0
  /// Newest checkpoints that stay.
  package var keepLast = 2
  /// Every checkpoint whose step is a multiple of this stays; 0 for none.
  package var keepEvery = 0
  /// Validations in a row that are no better than the best, after which the run ends; nil for none.
  package var patience: Int?
  /// Steps between samples of the model's own sentences, and at the end; 0 for none at all.
  package var sampleEvery = 0
}

extension ReportConfig {
  /// As written by this and by earlier versions, which drew no samples.
  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    logEvery = try fields.decode(Int.self, forKey: .logEvery)
    validateEvery = try fields.decode(Int.self, forKey: .validateEvery)
    validationSequences = try fields.decode(Int.self, forKey: .validationSequences)
    checkpointEvery = try fields.decode(Int.self, forKey: .checkpointEvery)
    checkpointMinutes = try fields.decode(Double.self, forKey: .checkpointMinutes)
    keepLast = try fields.decode(Int.self, forKey: .keepLast)
    keepEvery = try fields.decode(Int.self, forKey: .keepEvery)
    patience = try fields.decodeIfPresent(Int.self, forKey: .patience)
    sampleEvery = try fields.decodeIfPresent(Int.self, forKey: .sampleEvery) ?? 0
  }
}
