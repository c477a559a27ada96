package import Model
package import Tensor

/// What a run does about losses and gradients that cannot be right; part of its configuration,
/// because it decides which steps are taken.
package struct SafetyConfig: Codable, Sendable, Equatable {
  /// Steps in a row that may be skipped because their loss or gradient is not finite; the next one
  /// stops the run.
  package var skipBudget = 10
  /// Deviations above its running mean at which a loss is a spike; 0 for never.
  package var spikeDeviations = 8.0
  /// Whether a spike goes back to the last scheduled checkpoint and past the data since then
  /// (Chowdhery et al., PaLM, 2022, section 5.1), instead of only being told.
  package var rewind = false
  /// Rewinds of the whole run; spikes after them are only told.
  package var rewindBudget = 5

  package init() {}
}

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
  mutating func skip(_ config: SafetyConfig) -> Bool {
    skipped += 1
    skippedInARow += 1
    return skippedInARow <= config.skipBudget
  }

  /// Counts a step that is taken.
  mutating func take(loss: Double, _ config: SafetyConfig) {
    losses.observe(loss, deviations: config.spikeDeviations)
    skippedInARow = 0
  }
}

/// Running mean and deviation of the loss, to tell a spike from noise.
package struct LossStatistics: Codable, Sendable, Equatable {
  private var count = 0
  private var mean = 0.0
  private var variance = 0.0

  /// Weight of the past: the mean looks back about a hundred steps.
  private static let memory = 0.99
  /// Losses seen before any can be called a spike.
  private static let needed = 50
  /// Least deviation as a part of the mean; a converged run has almost none of its own.
  private static let leastDeviation = 0.01

  package init() {}

  /// The loss at which a spike begins, or nil while too few have been seen.
  package func threshold(deviations: Double) -> Double? {
    guard deviations > 0, count >= Self.needed else { return nil }
    return mean + deviations * max(variance.squareRoot(), Self.leastDeviation * mean)
  }

  /// Takes the loss of a step in; a spike moves the mean no further than its threshold.
  package mutating func observe(_ loss: Double, deviations: Double) {
    let loss = min(loss, threshold(deviations: deviations) ?? loss)
    // The first losses weigh alike, so that the mean does not begin at 0.
    let weight = max(1 - Self.memory, 1 / Double(count + 1))
    let difference = loss - mean
    mean += weight * difference
    variance = (1 - weight) * (variance + weight * difference * difference)
    count += 1
  }
}

/// Gradient and weights of one parameter, looked at because something is wrong.
package struct TensorStatistics: Codable, Sendable, Equatable {
  package let name: String
  /// Elements of the gradient that are infinite or not a number, of `count`.
  package let notFinite: Int
  package let count: Int
  /// Largest finite magnitude in the gradient.
  package let largestGradient: Double
  /// Largest finite magnitude among the weights.
  package let largestWeight: Double

  /// The parameters with anything infinite in their gradient, or else those with the largest.
  package static func suspects(
    _ parameters: Parameters, gradients: Parameters, limit: Int = 5
  ) throws(DeviceError) -> [TensorStatistics] {
    var all: [TensorStatistics] = []
    for slot in parameters.layout.slots {
      let gradient = try gradients.device.numbers(of: gradients.view(slot))
      let weights = try parameters.device.numbers(of: parameters.view(slot))
      let largest = { (values: [Float]) in
        values.reduce(Float(0)) { $1.isFinite ? max($0, abs($1)) : $0 }
      }
      all.append(
        TensorStatistics(
          name: slot.name, notFinite: gradient.count { !$0.isFinite }, count: gradient.count,
          largestGradient: Double(largest(gradient)), largestWeight: Double(largest(weights))))
    }
    let worst = all.sorted {
      ($0.notFinite, $0.largestGradient) > ($1.notFinite, $1.largestGradient)
    }
    return Array(worst.prefix(limit))
  }
}
