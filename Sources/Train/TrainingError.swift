/// Why a training run cannot start or go on.
package enum TrainingError: Error, CustomStringConvertible, Equatable {
  case invalid(String)
  /// A loss or gradient that is not a number; the weights were left as they were.
  case diverged(step: Int, natsPerPiece: Double, gradientNorm: Double)
  /// No checkpoint of the run could be used.
  case nothingToResume(run: String, reasons: [String])
  /// A run folder that would be overwritten.
  case exists(run: String)

  package var description: String {
    switch self {
    case .invalid(let problem): problem
    case .diverged(let step, let nats, let norm):
      "step \(step) gave a loss of \(nats) nats per piece and a gradient norm of \(norm); the "
        + "weights were not changed; start another run with a lower --rate, or look at the data of "
        + "this step"
    case .nothingToResume(let run, let reasons):
      "\(run): no checkpoint to resume from"
        + (reasons.isEmpty ? "; start without --resume" : ": " + reasons.joined(separator: "; "))
    case .exists(let run):
      "\(run) already holds a run; continue it with --resume or choose another --output"
    }
  }
}
