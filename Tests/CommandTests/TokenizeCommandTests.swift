import Foundation
import TestSupport
import Testing

/// The command as a user meets it: what it prints where, and with which status it ends.
@Suite struct TokenizeCommandTests {
  private func run(_ arguments: [String]) throws -> ProgramOutcome {
    try runProgram("lm-tokenize", arguments)
  }

  @Test func helpShowsExamples() throws {
    let outcome = try run(["--help"])
    #expect(outcome.status == 0)
    #expect(outcome.output.contains("EXAMPLES") && outcome.output.contains("--split-valid"))
    #expect(outcome.errors.isEmpty)
  }

  @Test func mistakesInOptionsEndWithTwo() throws {
    for arguments in [
      [], ["--output", "x"], ["--output", "x", "--train", "a", "--corpus", "b"],
      ["--output", "x", "--train", "a", "--valid", "b", "--split-valid", "0.1"],
      ["--output", "x", "--train", "a", "--vocab-size", "12"],
      ["--output", "x", "--train", "a", "--model-type", "word"],
      ["--output", "x", "--train", "a", "--threads", "0"],
      ["--output", "x", "--train", "a", "--tokenizer", "t", "--vocab-size", "300"],
      ["--output", "x", "--train", "a", "--word-level"],
      ["--output", "x", "--train", "a", "--word-level", "--vocabulary", "w", "--tokenizer", "t"],
      [
        "--output", "x", "--train", "a", "--word-level", "--vocabulary", "w", "--vocab-size", "300",
      ],
    ] {
      let outcome = try run(arguments)
      #expect(outcome.status == 2, "\(arguments)")
      #expect(outcome.output.isEmpty)
      #expect(outcome.errors.lowercased().contains("usage: lm-tokenize"), "\(arguments)")
    }
  }

  @Test func otherErrorsAreOneSentence() throws {
    try withTemporaryDirectory { folder in
      try Data([0x61, 0xFF, 0x0A]).write(to: URL(fileURLWithPath: folder + "/bad.txt"))
      try Data().write(to: URL(fileURLWithPath: folder + "/empty.txt"))
      for (arguments, part) in [
        (["--corpus", folder + "/missing"], "/missing"),
        (["--corpus", folder], "training-monolingual.tokenized.shuffled"),
        (["--train", folder + "/missing.txt"], "/missing.txt"),
        (["--train", folder + "/bad.txt"], "/bad.txt, line 1: not valid UTF-8"),
        (["--train", folder + "/empty.txt"], "/empty.txt is empty"),
        (["--train", folder + "/bad.txt", "--tokenizer", folder + "/bad.txt"], "/bad.txt is not"),
        (["--train", folder + "/bad.txt", "--split-valid", "1"], "leave something for training"),
        (["--test", folder + "/bad.txt"], "no training text"),
      ] {
        let outcome = try run(arguments + ["--output", folder + "/out"])
        #expect(outcome.status == 1, "\(arguments)")
        #expect(outcome.output.isEmpty)
        let last = outcome.errors.split(separator: "\n").last ?? ""
        #expect(last.hasPrefix("lm-tokenize: error: "), "\(outcome.errors)")
        #expect(last.contains(part), "\(outcome.errors)")
        #expect(!FileManager.default.fileExists(atPath: folder + "/out"))
      }
    }
  }

  @Test func aDataSetIsBuiltAndSummedUp() throws {
    try withTemporaryDirectory { folder in
      let line = "one two three four five six seven eight nine ten eleven twelve thirteen\n"
      let text = String(repeating: line, count: 400)
      try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/text"))
      let arguments = [
        "--train", folder + "/text", "--output", folder + "/out", "--vocab-size", "290",
        "--model-type", "bpe",
        "--split-valid", "0.1", "--split-test", "0.1", "--threads", "2",
      ]
      let first = try run(arguments)
      try #require(first.status == 0, "\(first.errors)")
      let rows = first.output.split(separator: "\n").map { $0.split(separator: " ") }
      #expect(rows[0].first == "split")
      #expect(rows[1...3].map(\.first) == ["train", "valid", "test"])
      let sentences = rows[1...3].compactMap { Int($0[3]) }
      #expect(sentences.reduce(0, +) == 400)
      #expect(!first.errors.contains("sentencepiece") && !first.errors.contains("LOG("))
      let second = try run(arguments)
      #expect(second.status == 1)
      #expect(second.errors.contains("exists already"))
      #expect(try run(arguments + ["--overwrite"]).status == 0)
    }
  }

  /// The library trains for a minute and cannot be asked to stop.
  @Test(arguments: [SIGINT, SIGTERM]) func trainingStopsAtOnce(_ signal: Int32) throws {
    try withTemporaryDirectory { folder in
      var text = ""
      var state: UInt64 = 1
      for _ in 0..<60_000 {
        for _ in 0..<10 {
          state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
          text += String(state >> 44, radix: 26) + " "
        }
        text += "\n"
      }
      try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/text"))
      let outcome = try runProgram(
        "lm-tokenize", ["--train", folder + "/text", "--output", folder + "/out"],
        signal: (signal, after: "training the tokenizer"))
      #expect(outcome.status == 128 + signal)
      #expect(outcome.errors.contains("interrupted; nothing was written"))
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == ["text"])
    }
  }

  /// Nothing comes through the pipe: its other end is held open and silent.
  @Test func aReadFromAPipeStopsAtOnce() throws {
    try withTemporaryDirectory { folder in
      let texts = folder + "/training-monolingual.tokenized.shuffled"
      try FileManager.default.createDirectory(
        atPath: texts, withIntermediateDirectories: false)
      let pipe = texts + "/news.en-00001-of-00100"
      #expect(mkfifo(pipe, 0o600) == 0)
      let end = open(pipe, O_RDWR)
      defer { close(end) }
      // So that something is said before the pipe is read.
      try Data("a\n".utf8).write(to: URL(fileURLWithPath: texts + "/README"))
      let outcome = try runProgram(
        "lm-tokenize", ["--corpus", folder, "--output", folder + "/out"],
        signal: (SIGINT, after: "note: ignored"))
      #expect(outcome.status == 128 + SIGINT)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder).count == 1)
    }
  }

  @Test(arguments: ["-", "/dev/stdin"]) func standardInputIsRead(_ name: String) throws {
    try withTemporaryDirectory { folder in
      let text = (1...300).map { "line \($0) of the text that is read twice: \($0 * $0 * 7_919)\n" }
        .joined()
      try Data(text.utf8).write(to: URL(fileURLWithPath: folder + "/text"))
      let options = ["--vocab-size", "300", "--output"]
      for (input, output) in [(name, "/piped"), (folder + "/text", "/plain")] {
        let outcome = try runProgram(
          "lm-tokenize", ["--train", input] + options + [folder + output], input: text)
        try #require(outcome.status == 0, "\(outcome.errors)")
        #expect(outcome.errors.contains("on 300 sentences"))
      }
      for file in ["tokenizer.model", "train-00000.zst"] {
        #expect(
          FileManager.default.contentsEqual(
            atPath: folder + "/piped/" + file, andPath: folder + "/plain/" + file))
      }
    }
  }
}
