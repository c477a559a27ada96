import CProcessor
import Foundation

/// The processors of this machine that this process may use.
package enum Processors {
  /// How many it may use at once: those of its affinity (`taskset`, a launcher that binds to cores), no
  /// more than its control groups give it the time of (containers, batch systems).
  package static let allowed = allowed(affinity: affinity, quota: ControlGroups().quota())

  /// Processors that affinity and quota leave; a part of one counts as one.
  package static func allowed(affinity: Int, quota: Double?) -> Int {
    max(1, min(affinity, quota.map { Int(min($0, 1e6).rounded(.up)) } ?? affinity))
  }

  /// Processors of this machine.
  package static let online = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)))

  /// Processors this process may run on.
  package static let affinity: Int = {
    let count = Int(cp_allowed_processors())
    return count > 0 ? count : max(1, ProcessInfo.processInfo.activeProcessorCount)
  }()
}
