import ArgumentParser
import Bench
import CommandSupport
import Deterministic
import Storage
import Tensor

/// Facts about the program that no noise can break, for every change.
struct CheckCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "check", abstract: "Check what must hold on any machine, however busy it is.",
    discussion: """
      Counts of operations, bytes and allocations, and ratios of times with a margin
      of several times. The exit code is 1 if one does not hold. --faults puts a
      fault where each check looks: then none of them may hold.
      """)

  @Flag(help: "Put a fault where each check looks; the exit code is 1 if one holds all the same.")
  var faults = false
  @Option(help: "Threads (all processors that this process may use).") var threads: Int?
  @Flag(help: "Print JSON.") var json = false

  private struct Row: Encodable {
    let check: String
    let found: String
    let expected: String
    let holds: Bool
  }

  func validate() throws {
    try ThreadCount.validate(threads)
  }

  func run() throws {
    Parallel.threads = ThreadCount.resolve(threads, command: "lm-bench")
    let rows = try Check.all().map { check in
      let outcome = try check.run(faults)
      return Row(
        check: check.name, found: outcome.found, expected: outcome.expected, holds: outcome.holds)
    }
    if json {
      print(String(decoding: try JSONFile.encode(rows), as: UTF8.self), terminator: "")
    } else {
      print(
        Format.table(
          [["check", "found", "expected", ""]]
            + rows.map { [$0.check, $0.found, $0.expected, $0.holds ? "holds" : "FAILS"] }))
    }
    let wrong = rows.filter { $0.holds == faults }
    guard wrong.isEmpty else {
      let names = wrong.map(\.check).joined(separator: "; ")
      throw CommandError(faults ? "a fault was not found by: \(names)" : "does not hold: \(names)")
    }
  }
}
