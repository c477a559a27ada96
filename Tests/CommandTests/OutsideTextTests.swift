import Foundation
import TestSupport
import Testing

/// Text as it comes from elsewhere: pipes, marks, line ends, lists, sentences without end.
@Suite(.serialized) struct OutsideTextTests {
  private static let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple"]

  private static func lines(_ count: Int, from first: Int) -> String {
    let all: [String] = (first..<first + count).map { (line: Int) -> String in
      let chosen: [Int] = (0..<(3 + line % 7)).map { (place: Int) -> Int in
        (line * 7919 + place * (line + 3)) % 8
      }
      return chosen.map { words[$0] }.joined(separator: " ")
    }
    return all.joined(separator: "\n") + "\n"
  }

  /// A tiny model, and a text that it has not seen.
  private static func trained(
    _ folder: TemporaryFolder, attention: String = "softmax", list: String? = nil
  ) throws -> (run: String, text: String) {
    let text = try folder.write(lines(300, from: 0), to: "train.txt")
    let (data, run) = (folder.path + "/data", folder.path + "/run")
    let made = try runProgram(
      "lm-tokenize",
      ["--train", text, "--vocab-size", "280", "--model-type", "bpe", "--output", data]
        + (list.map { ["--vocabulary", $0] } ?? []))
    try #require(made.status == 0, "\(made.errors)")
    let trained = try runProgram(
      "lm-train",
      [
        "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
        "--hidden", "32", "--steps", "3", "--batch-tokens", "200", "--attention", attention,
      ])
    try #require(trained.status == 0, "\(trained.errors)")
    return (run, try folder.write(lines(40, from: 1_000), to: "test.txt"))
  }

  private static func nats(_ outcome: ProgramOutcome) throws -> Double {
    try #require(outcome.status == 0, "\(outcome.errors)")
    let object = try JSONSerialization.jsonObject(with: Data(outcome.output.utf8))
    return try #require((object as? [String: Any])?["nats"] as? Double)
  }

  @Test func pipesMarksAndLineEnds() throws {
    let folder = try TemporaryFolder()
    let (run, text) = try Self.trained(folder)
    let contents = try String(contentsOfFile: text, encoding: .utf8)
    func score(_ arguments: [String], input: String = "") throws -> ProgramOutcome {
      try runProgram("lm-eval", ["--checkpoint", run, "--json"] + arguments, input: input)
    }
    let plain = try Self.nats(score(["--text", text]))
    // Standard input, by either name.
    for name in ["-", "/dev/stdin"] {
      #expect(try Self.nats(score(["--text", name], input: contents)) == plain)
    }
    // Several models read it once each.
    let several = try runProgram(
      "lm-eval", ["--compare", run, run, "--text", "-"], input: contents)
    #expect(several.status == 0, "\(several.errors)")
    // A mark is passed over and said.
    let marked = try score(["--text", "-"], input: "\u{FEFF}" + contents)
    #expect(try Self.nats(marked) == plain)
    #expect(marked.errors.contains("byte order mark"))
    // Carriage returns are text, with a note, or line ends.
    for end in ["\r\n", "\r"] {
      let other = contents.replacingOccurrences(of: "\n", with: end)
      let kept = try score(["--text", "-"], input: other)
      #expect(try Self.nats(kept) != plain)
      #expect(kept.errors.contains("--line-ends any"))
      let taken = try score(["--text", "-", "--line-ends", "any"], input: other)
      #expect(try Self.nats(taken) == plain)
    }
  }

  /// What goes to standard output is what would be in the file, and nothing else.
  @Test func scoresOnStandardOutput() throws {
    let folder = try TemporaryFolder()
    let (run, text) = try Self.trained(folder)
    let file = folder.path + "/scores.tsv"
    let arguments = ["--checkpoint", run, "--text", text, "--score"]
    let table = try runProgram("lm-eval", arguments + [file])
    try #require(table.status == 0, "\(table.errors)")
    let scores = try String(contentsOfFile: file, encoding: .utf8)
    for name in ["-", "/dev/stdout"] {
      let outcome = try runProgram("lm-eval", arguments + [name])
      #expect(outcome.status == 0)
      #expect(outcome.output == scores)
      #expect(outcome.errors.contains("word perplexity"))
    }
    #expect(try runProgram("lm-eval", arguments + ["/dev/null"]).status == 0)
    #expect(try runProgram("lm-eval", arguments + ["-", "--json"]).status == 2)
  }

  /// A model says which list of words it was trained with.
  @Test func anotherListOfWordsIsNoted() throws {
    let folder = try TemporaryFolder()
    let own = try folder.write(
      Self.words.prefix(6).joined(separator: "\n") + "\n", to: "own.txt")
    let other = try folder.write(
      Self.words.prefix(2).joined(separator: "\n") + "\n", to: "other.txt")
    let (run, text) = try Self.trained(folder, list: own)
    for (list, isNoted) in [(own, false), (other, true)] {
      let arguments = ["--checkpoint", run, "--text", text, "--vocabulary", list]
      for form in [[], ["--paper-line"], ["--json"]] {
        let outcome = try runProgram("lm-eval", arguments + form)
        #expect(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.output.contains("trained with another list") == isNoted)
      }
    }
    let compared = try runProgram(
      "lm-eval", ["--compare", run, run, "--text", text, "--vocabulary", other])
    #expect(compared.output.contains("trained with another list"))
  }

  /// Of several models, too, every pass over the text is one that is printed.
  @Test func drawsOfASampledAttentionAreShownOrNotMade() throws {
    let folder = try TemporaryFolder()
    let (run, text) = try Self.trained(folder, attention: "yoso:hashes=4,bits=3")
    let arguments = ["--text", text, "--hash-seeds", "2"]
    let alone = try runProgram("lm-eval", ["--checkpoint", run] + arguments)
    #expect(alone.errors.contains("hashes of seed 1"))
    let several = try runProgram("lm-eval", ["--checkpoint", run, run] + arguments)
    #expect(several.status == 0, "\(several.errors)")
    let draws = try #require(
      alone.output.split(separator: "\n").last { $0.contains("over 2 draws") })
    let figures = try #require(draws.split(separator: ":").last)
    #expect(several.output.components(separatedBy: figures).count == 3)
    let line = try runProgram("lm-eval", ["--checkpoint", run, "--paper-line"] + arguments)
    #expect(line.status == 0)
    #expect(!line.errors.contains("hashes of seed"))
  }

  /// What does not fit is said before it is taken: a sentence and exit code 1, never a signal.
  @Test func sentencesWithoutEndAreRefused() throws {
    let folder = try TemporaryFolder()
    let (run, _) = try Self.trained(folder)
    let long = try folder.write(
      String(repeating: "birch elm ", count: 250_000) + "\n", to: "long.txt")
    let program = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
      .deletingLastPathComponent().appendingPathComponent("lm-eval").path
    func evaluate(_ arguments: [String]) throws -> (status: Int32, errors: String) {
      let process = Process()
      let errors = Pipe()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments =
        ["-c", "ulimit -v 1500000; exec \"$0\" \"$@\"", program, "--checkpoint", run] + arguments
      process.standardError = errors
      process.standardOutput = FileHandle.nullDevice
      try process.run()
      let messages = errors.fileHandleForReading.readDataToEndOfFile()
      process.waitUntilExit()
      return (process.terminationStatus, String(decoding: messages, as: UTF8.self))
    }
    let outcome = try evaluate(["--text", long])
    #expect(outcome.status == 1, "\(outcome.errors)")
    for word in ["long.txt, line 1", "ulimit -v", "--context stream"] {
      #expect(outcome.errors.contains(word), "\(outcome.errors)")
    }
    // A budget of tokens without measure is no sentence without end.
    let short = try folder.write(
      String(repeating: String(repeating: "birch elm ", count: 20) + "\n", count: 12_500),
      to: "short.txt")
    let batch = try evaluate(["--text", short, "--batch-tokens", "10000000"])
    #expect(batch.status == 1, "\(batch.errors)")
    #expect(batch.errors.contains("--batch-tokens"), "\(batch.errors)")
  }
}
