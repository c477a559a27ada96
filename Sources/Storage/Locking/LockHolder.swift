import Foundation

/// A process that holds a lock, as its lock file says.
package struct LockHolder: Codable, Sendable, Equatable {
  /// The command, `lm-train`.
  package var command: String
  package var host: String
  package var process: Int32
  /// When it took the lock: ISO 8601, in UTC.
  package var since: String
  /// `/etc/machine-id`, which stays when the machine is started again; empty where there is none.
  var machine: String
  /// The kernel's own random number, another one after every start and shared by all containers.
  var boot: String

  /// This process, now.
  package static var current: LockHolder {
    LockHolder(
      command: Files.name(of: CommandLine.arguments.first ?? "a program"),
      host: ThisMachine.name, process: getpid(),
      since: ThisMachine.now, machine: line(of: "/etc/machine-id"),
      boot: line(of: "/proc/sys/kernel/random/boot_id"))
  }

  /// Whether this process and that one run, or ran, on one machine.
  ///
  /// With the same kernel it is certain; otherwise the machine may have been started again since.
  func isOnSameMachine(as other: LockHolder) -> Bool {
    (!boot.isEmpty && boot == other.boot) || (host == other.host && machine == other.machine)
  }

  private static func line(of path: String) -> String {
    let text = (try? String(contentsOfFile: path, encoding: .utf8)) ?? ""
    return text.trimmingCharacters(in: .whitespacesAndNewlines)
  }
}

extension LockHolder: CustomStringConvertible {
  package var description: String { "\(command), process \(process) on \(host), since \(since)" }
}

/// Why a lock could not be had.
package enum LockError: Error, CustomStringConvertible, Equatable {
  /// `holder` is nil where the lock file does not say.
  case held(subject: String, path: String, holder: LockHolder?)
  case storage(StorageError)

  package var description: String {
    switch self {
    case .held(let subject, let path, let holder):
      "\(subject) is in use by \(holder.map { "\($0)" } ?? "a process that \(path) does not name"); "
        + "wait for its end or stop it; if it no longer runs, remove \(path) and try again"
    case .storage(let error): error.description
    }
  }
}
