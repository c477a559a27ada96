import ArgumentParser
import Machine

/// `--threads`, the same in every command.
package enum ThreadCount {
  /// The largest accepted number.
  package static let most = 1_024

  /// Throws unless the number is between 1 and ``most``.
  package static func validate(_ threads: Int?) throws {
    guard let threads, !(1...most).contains(threads) else { return }
    throw ValidationError("--threads is \(threads), expected 1 to \(Format.count(most))")
  }

  /// The given number of threads, or one for each processor that this process may use; several
  /// processes of one host share those that no launcher has dealt out.
  ///
  /// More threads than processors are accepted with a note: they take turns.
  package static func resolve(_ threads: Int?, command: String) -> Int {
    let allowed = Processors.allowed
    guard let threads else { return Ranks.processors }
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
