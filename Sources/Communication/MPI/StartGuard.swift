import Foundation
import Synchronization

/// Ends this process if another one of its launcher's has ended before all have met.
///
/// Intel MPI's launcher does not notice a process that is killed before it has reported itself, and the others
/// would wait inside of the library without end.
package final class StartGuard: Sendable {
  private let haveMet = Atomic<Bool>(false)

  /// - Parameter rank: Of this process, for the message.
  init(rank: Int) {
    Thread.detachNewThread { self.watch(rank) }
  }

  /// All have met; from now on the library tells.
  func end() { haveMet.store(true, ordering: .relaxed) }

  private func watch(_ rank: Int) {
    let command = Self.line("self").flatMap { Self.fields($0)?.command }
    var looks = 0
    while !haveMet.load(ordering: .relaxed) {
      usleep(500_000)
      let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
      let lines = all.filter { Int32($0) != nil }.compactMap(Self.line)
      let ended = Self.ended(lines, of: getppid(), command: command ?? "")
      // Launchers that do notice are given the time to end all by themselves.
      looks = ended == nil ? 0 : looks + 1
      guard let ended, looks > 4, !haveMet.load(ordering: .relaxed) else { continue }
      let problem =
        "rank \(rank): process \(ended) of this launch has ended before all had met, and all end\n"
      FileHandle.standardError.write(Data(problem.utf8))
      _exit(70)
    }
  }

  /// The line of a process, as `proc_pid_stat(5)` describes it.
  private static func line(_ process: String) -> String? {
    try? String(contentsOfFile: "/proc/\(process)/stat", encoding: .utf8)
  }

  /// A process that has ended and that its parent has not looked at.
  ///
  /// - Parameters:
  ///   - lines: Of all processes.
  ///   - parent: Whose children are meant.
  ///   - command: Name of the program.
  package static func ended(_ lines: [String], of parent: Int32, command: String) -> Int32? {
    lines.compactMap(fields).first {
      $0.parent == parent && $0.state == "Z" && $0.command == command
    }?.process
  }

  /// The first fields; the name of the program may have spaces and parentheses.
  private static func fields(
    _ line: String
  ) -> (process: Int32, command: String, state: Substring, parent: Int32)? {
    guard let open = line.firstIndex(of: "("), let close = line.lastIndex(of: ")"), open < close,
      let process = Int32(line[..<open].trimmingCharacters(in: .whitespaces))
    else { return nil }
    let rest = line[line.index(after: close)...].split(separator: " ")
    guard rest.count > 1, let parent = Int32(rest[1]) else { return nil }
    return (process, String(line[line.index(after: open)..<close]), rest[0], parent)
  }
}
