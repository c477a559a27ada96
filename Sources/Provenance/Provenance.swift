import Foundation
import Storage

/// By what program, where and when something was computed.
package struct Provenance: Codable, Sendable, Equatable {
  /// `lm-train 1.0`.
  package var program: String
  /// ``Program/commit``.
  package var commit: String
  /// Name of the machine.
  package var host: String
  /// When the program had begun or the figure was there, UTC, `2026-11-28T03:20:00Z`.
  package var time: String
  /// The command line, as a shell takes it.
  package var command: String

  package init(program: String, commit: String, host: String, time: String, command: String) {
    self.program = program
    self.commit = commit
    self.host = host
    self.time = time
    self.command = command
  }

  /// That of the running program, now.
  package static func now(arguments: [String] = CommandLine.arguments) -> Provenance {
    let name = arguments.first.map { $0.split(separator: "/").last.map(String.init) ?? $0 } ?? ""
    return Provenance(
      program: "\(name) \(Program.version)", commit: Program.commit,
      host: ThisMachine.name, time: ThisMachine.now,
      command: ([name] + arguments.dropFirst().map(quoted)).joined(separator: " "))
  }

  /// For people: `lm-eval 1.0 (6f2d235a01)`.
  package var brief: String {
    let isChanged = commit.hasSuffix("+changes")
    return "\(program) (\(commit == "unknown" ? "commit unknown" : String(commit.prefix(10)))"
      + "\(isChanged ? " with changes" : ""))"
  }

  /// An argument as a shell takes it.
  private static func quoted(_ argument: String) -> String {
    let plain = argument.unicodeScalars.allSatisfy { scalar in
      scalar.isASCII
        ? scalar.properties.isAlphabetic || scalar.properties.numericType != nil
          || "-_./=:,+@%".unicodeScalars.contains(scalar)
        : scalar.properties.isAlphabetic
    }
    if plain, !argument.isEmpty { return argument }
    return "'" + argument.replacing("'", with: "'\\''") + "'"
  }
}
