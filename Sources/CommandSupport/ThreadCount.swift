import ArgumentParser
import Machine

/// `--threads`, the same in every command.
package enum ThreadCount {
  /// The most that anybody may ask for.
  package static let most = 1_024

  /// Refuses what cannot be meant.
  package static func validate(_ threads: Int?) throws {
    guard let threads, !(1...most).contains(threads) else { return }
    throw ValidationError("--threads is \(threads), expected 1 to \(Format.count(most))")
  }

  /// The threads that were asked for, or one for each processor that this process may use.
  ///
  /// More than there are processors is allowed, and said: threads that take turns are slower.
  package static func resolve(_ threads: Int?, command: String) -> Int {
    let allowed = Processors.allowed
    guard let threads else { return allowed }
    if threads > allowed {
      let reason =
        allowed < Processors.affinity
        ? ", by the quota of its control group"
        : ""
      Terminal.note(
        "\(command): note: --threads \(threads), but this process may use "
          + "\(Format.count(allowed, "processor")) at once\(reason); more threads take turns")
    }
    return threads
  }
}
