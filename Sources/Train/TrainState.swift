package import Eval
package import LMData

/// Everything besides weights and moments that a run needs to go on exactly.
package struct TrainState: Codable, Sendable, Equatable {
  package static let currentVersion = 1

  package var formatVersion = Self.currentVersion
  /// Optimizer steps taken.
  package var step = 0
  /// Where the next batch begins.
  package var cursor: Cursor
  /// Targets seen, `</s>` included.
  package var pieces = 0
  /// Seconds spent in steps, over all sessions of the run.
  package var trainedSeconds = 0.0
  /// FLOPs spent in steps.
  package var flops = 0.0
  /// The best validation so far, if there was one.
  package var best: Validation?
  /// SHA-256 of the tokenizer that made the shards.
  package var tokenizerSHA256: String
  /// SHA-256 of the manifest of the shards: the cursor means nothing in others.
  package var dataSHA256: String

  package init(cursor: Cursor, tokenizerSHA256: String, dataSHA256: String) {
    self.cursor = cursor
    self.tokenizerSHA256 = tokenizerSHA256
    self.dataSHA256 = dataSHA256
  }
}

/// The validation split scored at one step.
package struct Validation: Codable, Sendable, Equatable {
  package var step: Int
  package var tally: Tally
}
