/// Why a training run cannot start or go on.
package enum TrainingError: Error, CustomStringConvertible, Equatable {
  case invalid(String)
  /// More steps in a row than may be skipped had a loss or gradient that is not finite; the weights
  /// are those of the last good step.
  case diverged(Incident, inARow: Int)
  /// No checkpoint of the run could be used.
  case nothingToResume(run: String, reasons: [String])
  /// A run folder that would be overwritten.
  case exists(run: String)

  /// More processes than a run can have.
  static func processes(_ count: Int, shares: Int) -> TrainingError {
    .invalid(
      "\(count) processes cannot train a run of \(shares == 1 ? "one share" : "\(shares) shares") a step; "
        + "start as many at most, or begin a run with more --gradient-shares")
  }

  package var description: String {
    switch self {
    case .invalid(let problem): problem
    case .diverged(let incident, let inARow):
      "\(inARow == 1 ? "a step was" : "\(inARow) steps in a row were") not finite, the last: \(incident); "
        + "no weight was changed since and the checkpoints are as they were; start another run with a lower "
        + "--rate, or look at the data of this step"
    case .nothingToResume(let run, let reasons):
      "\(run): no checkpoint to resume from"
        + (reasons.isEmpty ? "; start without --resume" : ": " + reasons.joined(separator: "; "))
    case .exists(let run):
      "\(run) already holds a run; continue it with --resume or choose another --output"
    }
  }
}
