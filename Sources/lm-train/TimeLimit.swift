import Machine
import Foundation

/// When the program must have ended, and how much time it needs for that.
///
/// A step cannot be cut short, and a checkpoint takes its time: the run stops as soon as two more rounds of
/// the longest kind so far, validation and checkpoints included, would not fit.
final class TimeLimit {
  private let end: Double
  /// What is left for saving however short the steps are, in seconds.
  private let least: Double
  private var longest = 0.0
  private var last: Double

  /// - Parameters:
  ///   - minutes: From now on; nil for the end of the job that Slurm tells, if it does.
  ///   - environment: Of this process.
  /// - Returns: Nil where there is no limit.
  init?(
    minutes: Double?,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) {
    let seconds: Double
    if let minutes {
      seconds = 60 * minutes
    } else if let text = environment["SLURM_JOB_END_TIME"], let time = Double(text) {
      seconds = time - Date().timeIntervalSince1970
    } else {
      return nil
    }
    last = WallClock.seconds()
    end = last + seconds
    least = min(30, 0.1 * max(0, seconds))
  }

  /// Whether it is time to save and stop; called once a step.
  func isReached() -> Bool {
    let now = WallClock.seconds()
    longest = max(longest, now - last)
    last = now
    return now + max(2 * longest, least) > end
  }
}
