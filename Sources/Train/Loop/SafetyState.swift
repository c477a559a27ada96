/// What a run remembers of its incidents; saved with every checkpoint.
package struct SafetyState: Codable, Sendable, Equatable {
  /// Steps skipped in the whole run.
  package var skipped = 0
  /// Skipped steps since the last one that was taken.
  package var skippedInARow = 0
  package var rewinds = 0
  package var losses = LossStatistics()

  package init() {}

  /// What is made of a step.
  enum Verdict: Equatable {
    case take
    /// Loss or gradient cannot be right: the weights are left as they are.
    case skip
    /// The loss leapt above a threshold.
    case spike(threshold: Double)
  }

  /// What is to be made of a step, from figures that are the same on every rank.
  ///
  /// - Parameters:
  ///   - loss: Nats per target.
  ///   - isAccepted: Whether the optimizer takes a gradient of this norm.
  ///   - config: Limits of the run.
  func verdict(loss: Double, isAccepted: Bool, _ config: SafetyConfig) -> Verdict {
    guard loss.isFinite, isAccepted else { return .skip }
    guard let threshold = losses.threshold(deviations: config.spikeDeviations), loss > threshold
    else { return .take }
    return .spike(threshold: threshold)
  }

  /// Counts a step that is skipped.
  ///
  /// - Returns: Whether the run may go on.
  mutating func countSkipped(_ config: SafetyConfig) -> Bool {
    skipped += 1
    skippedInARow += 1
    return skippedInARow <= config.skipBudget
  }

  /// Counts a step that is taken.
  mutating func countTaken(loss: Double, _ config: SafetyConfig) {
    losses.observe(loss, deviations: config.spikeDeviations)
    skippedInARow = 0
  }
}
