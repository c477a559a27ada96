import Foundation
import TestSupport
import Testing

/// What `--help` prints, on a terminal of 80 columns as on a wider one.
@Suite struct HelpTests {
  /// The help of a command where no terminal breaks a line, so that every line is as its source has it.
  private static func unbroken(_ command: String) throws -> String {
    let outcome = try runProgram("", [], shell: "COLUMNS=400 \(command) --help")
    try #require(outcome.status == 0 && outcome.errors.isEmpty, "\(command): \(outcome.errors)")
    return outcome.output
  }

  private static func subcommands(_ help: String) -> [String] {
    guard let list = help.range(of: "\nSUBCOMMANDS:\n") else { return [] }
    return help[list.upperBound...].split(separator: "\n").compactMap { line in
      guard line.hasPrefix("  "), line.dropFirst(2).first?.isLetter == true else { return nil }
      let name = line.dropFirst(2).prefix { !$0.isWhitespace }
      return name == "See" ? nil : String(name)
    }
  }

  /// A line of an explanation or of an example that is longer breaks in its middle, and the rest of it stands
  /// at the margin.
  @Test(arguments: ["lm-tokenize", "lm-train", "lm-eval", "lm-sample", "lm-bench"])
  func noLineOfAnExplanationBreaks(program: String) throws {
    let all = try Self.unbroken(program)
    let inner = Self.subcommands(all)
    #expect(inner.isEmpty == !["lm-eval", "lm-bench"].contains(program), "\(inner)")
    for command in [program] + inner.map({ "\(program) \($0)" }) {
      let help = try Self.unbroken(command)
      let usage = try #require(help.range(of: "\nUSAGE: "), "\(command)")
      // The first line is one sentence, which may go over to the next.
      let lines = help[..<usage.lowerBound].split(separator: "\n").dropFirst()
      for line in lines {
        #expect(line.count <= 80, "\(command): \(line)")
        // Two lines of source that became one.
        #expect(!line.contains("   --") || line.hasPrefix("   "), "\(command): \(line)")
      }
      // Those of several forms are written by hand.
      guard program == "lm-eval" else { continue }
      let end = help[usage.upperBound...].range(of: "\n\n")?.lowerBound ?? help.endIndex
      for line in help[usage.lowerBound..<end].split(separator: "\n") {
        #expect(line.count <= 80, "\(command): \(line)")
      }
    }
  }
}
