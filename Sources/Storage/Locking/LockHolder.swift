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
      host: hostName, process: getpid(),
      since: now, machine: line(of: "/etc/machine-id"),
      boot: line(of: "/proc/sys/kernel/random/boot_id"))
  }

  /// Whether this process and that one run, or ran, on one machine.
  ///
  /// With the same kernel it is certain; otherwise the machine may have been started again since.
  func isOnSameMachine(as other: LockHolder) -> Bool {
    (!boot.isEmpty && boot == other.boot) || (host == other.host && machine == other.machine)
  }

  /// This second, for ``since``; Foundation would load its calendars for it, 3 MB.
  private static var now: String {
    var (seconds, parts) = (time(nil), tm())
    gmtime_r(&seconds, &parts)
    var text = [CChar](repeating: 0, count: 32)
    let length = strftime(&text, text.count, "%Y-%m-%dT%H:%M:%SZ", &parts)
    return String(decoding: text.prefix(length).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// As the machine calls itself; Foundation would ask the network.
  private static var hostName: String {
    var name = [CChar](repeating: 0, count: 256)
    guard gethostname(&name, name.count - 1) == 0 else { return "localhost" }
    return String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
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
