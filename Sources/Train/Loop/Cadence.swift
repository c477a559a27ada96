/// What is due after a step.
struct Cadence {
  private let config: RunConfig

  init(_ config: RunConfig) { self.config = config }

  private func isDue(_ every: Int, after step: Int) -> Bool {
    step == config.steps || (every > 0 && step % every == 0)
  }

  /// A line of metrics that stays.
  ///
  /// One is due after the last step of a sampled loss as well: no line is a mean over both kinds.
  func logs(after step: Int) -> Bool {
    isDue(config.report.logEvery, after: step) || config.isFirstFullStep(step + 1)
  }

  func validates(after step: Int) -> Bool { isDue(config.report.validateEvery, after: step) }

  func samples(after step: Int) -> Bool {
    config.report.sampleEvery > 0 && isDue(config.report.sampleEvery, after: step)
  }

  func saves(after step: Int) -> Bool { isDue(config.report.checkpointEvery, after: step) }

  /// Whether the last checkpoint lies too far back in trained seconds.
  func isLate(secondsSinceSaved: Double) -> Bool {
    let seconds = 60 * config.report.checkpointMinutes
    return seconds > 0 && secondsSinceSaved >= seconds
  }
}
