package import Eval
package import LMData

/// Everything besides weights and moments that a run needs to go on exactly.
package struct TrainState: Codable, Sendable, Equatable {
  package static let currentVersion = 2
  /// Version 1 had pieces for tokens in its keys.
  package static let readVersions = 1...currentVersion

  package var formatVersion = Self.currentVersion
  /// The run that this is a state of; resuming anything else is refused.
  package var config: RunConfig
  /// Optimizer steps taken.
  package var step = 0
  /// Where the next batch begins.
  package var cursor: Cursor
  /// Targets seen, `</s>` included.
  package var tokens = 0
  /// Seconds spent in steps, over all sessions of the run.
  package var trainedSeconds = 0.0
  /// What the steps since the last line of metrics add up to.
  package var window = MetricsWindow()
  /// The best validation so far, if there was one.
  package var best: Validation?
  /// Validations since the best that were no better; nil for none, and where nobody counts.
  package var validationsSinceBest: Int?
  /// Incidents so far; nil in checkpoints from before they were counted.
  package var safety: SafetyState?
  /// SHA-256 of the tokenizer that made the shards.
  package var tokenizerSHA256: String
  /// SHA-256 of the manifest of the shards: the cursor means nothing in others.
  package var dataSHA256: String
  /// The list of words that the shards were made with; nil without one, and in older checkpoints.
  package var vocabulary: VocabularyInfo?

  package init(
    config: RunConfig, cursor: Cursor, tokenizerSHA256: String, dataSHA256: String,
    vocabulary: VocabularyInfo? = nil
  ) {
    self.config = config
    self.cursor = cursor
    self.tokenizerSHA256 = tokenizerSHA256
    self.dataSHA256 = dataSHA256
    self.vocabulary = vocabulary
  }
}

/// Sums over the steps since the last line of metrics.
package struct MetricsWindow: Codable, Sendable, Equatable {
  package var nats = 0.0
  /// Targets of the steps taken; those of skipped steps are not among them.
  package var tokens = 0
  package var seconds = 0.0
  package var flops = 0.0
  /// Norm of the last gradient, before clipping.
  package var gradientNorm = 0.0
  /// Learning rate of the last step.
  package var rate = 0.0
  /// Tokens that the loss of some of the steps normalised over; nil where it was all for each.
  package var softmaxCandidates: Int?
}

/// The validation split scored at one step.
package struct Validation: Codable, Sendable, Equatable {
  package var step: Int
  package var tally: Tally
}
