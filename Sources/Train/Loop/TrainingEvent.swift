/// What a run tells while it goes.
package enum TrainingEvent: Sendable {
  case resumed(step: Int)
  /// A checkpoint that resume could not use, and why.
  case skippedCheckpoint(String)
  /// A line of a log that is not what was written, and where it is kept.
  case damaged(String)
  /// A step was taken; `isLogged` if it is due for a line that stays.
  case step(Metrics, isLogged: Bool)
  /// Sequences of the validation text scored so far.
  case validating(Int)
  case validated(Validation, isBest: Bool)
  /// The validation text scored by the running average of the weights.
  case averageValidated(Validation)
  /// The validation text has a loss that is infinite or no number; nothing is logged.
  case validationNotFinite(step: Int)
  case saved(path: String)
  /// The model has written a few sentences.
  case sampled(TrainingSample)
  /// A step that was skipped or a loss that leapt.
  case incident(Incident)
}

/// How a run ended.
package enum TrainingOutcome: Sendable, Equatable {
  case finished
  /// So many validations in a row were no better than the best; all of it is saved.
  case stoppedEarly(step: Int)
  /// Asked to stop; everything up to this step is saved.
  case interrupted(step: Int)
}
