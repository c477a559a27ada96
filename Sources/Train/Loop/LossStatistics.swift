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
