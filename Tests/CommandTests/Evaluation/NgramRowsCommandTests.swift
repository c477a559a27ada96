import Foundation
import Storage
import TestSupport
import Testing

/// Rows of n-grams are weights: their damage is found, and figures say whose rows they are of.
@Suite(.serialized) struct NgramRowsCommandTests {
  private static func succeed(_ name: String, _ arguments: [String]) throws -> ProgramOutcome {
    let outcome = try runProgram(name, arguments)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome
  }

  private static func text(_ folder: TemporaryFolder) throws -> String {
    let lines = (0..<200).map { "the \($0 % 7) kings of \($0 % 11) saw him \($0 % 3) times" }
    return try folder.write(lines.joined(separator: "\n") + "\n", to: "text")
  }

  private static func train(_ folder: TemporaryFolder, _ data: String, _ options: [String]) throws
    -> String
  {
    let run = "\(folder.path)/run-\(data)"
    _ = try succeed(
      "lm-train",
      [
        "--data", "\(folder.path)/\(data)", "--output", run, "--layers", "1", "--width", "16",
        "--heads", "2", "--hidden", "32", "--batch-tokens", "100", "--steps", "6", "--warmup", "1",
        "--checkpoint-every", "3", "--keep-last", "2", "--threads", "1",
      ] + options)
    return run
  }

  @Test func damagedRowsAreNeverUsed() throws {
    let folder = try TemporaryFolder()
    let text = try Self.text(folder)
    _ = try Self.succeed(
      "lm-tokenize", ["--train", text, "--vocab-size", "284", "--output", folder.path + "/data"])
    let run = try Self.train(folder, "data", ["--bigram-rows", "50", "--trigram-rows", "70"])
    let (older, newest) = (run + "/step-00000003", run + "/step-00000006")
    let perplexity = ["perplexity", "--text", text, "--threads", "1", "--checkpoint"]

    // 120 rows of 16 are no parameters, and are told beside them.
    let lines = try [older, newest].map {
      try Self.succeed("lm-eval", perplexity + [$0, "--paper-line"]).output
    }
    let sums = try [older, newest].map { try SHA256.hexDigest(ofFile: $0 + "/ngrams.safetensors") }
    for (line, sum) in zip(lines, sums) {
      #expect(line.contains("parameters and 1,920 numbers in rows of n-grams,"), "\(line)")
      #expect(line.contains("ngrams.safetensors SHA-256 \(sum)"), "\(line)")
    }
    #expect(sums[0] != sums[1])
    let two = try Self.succeed("lm-eval", perplexity + [older, newest])
    #expect(two.output.contains("in rows of n-grams\n"), "\(two.output)")
    let json = try Self.succeed("lm-eval", perplexity + [older, newest, "--json"])
    #expect(json.output.contains("\"ngramNumbers\" : 1920"))
    let plan = try Self.succeed(
      "lm-train", ["--data", folder.path + "/data", "--dry-run", "--json"])
    #expect(plan.output.contains("\"ngramNumbers\" : 0"), "\(plan.output)")

    let expected = try Self.succeed("lm-eval", perplexity + [older, "--json"])
    let rows = newest + "/ngrams.safetensors"
    var bytes = try Files.contents(of: rows)
    bytes[bytes.count / 2] ^= 4
    try AtomicFile.write(bytes, to: rows)
    for (program, arguments) in [
      ("lm-eval", perplexity + [newest]),
      ("lm-eval", ["score", "--text", text, "--checkpoint", newest]),
      ("lm-sample", ["--prompt", "the", "--checkpoint", newest]),
    ] {
      let outcome = try runProgram(program, arguments)
      #expect(outcome.status == 1 && outcome.errors.contains(rows), "\(arguments): \(outcome)")
    }
    // Of a run the newest good one is taken, and what was passed over is said.
    let passed = try Self.succeed("lm-eval", perplexity + [run, "--json"])
    #expect(passed.output == expected.output && passed.errors.contains(rows), "\(passed.errors)")
    let begun = try Self.succeed(
      "lm-train",
      ["--data", folder.path + "/data", "--init-from", run, "--output", folder.path + "/next"]
        + ["--steps", "1", "--threads", "1"])
    #expect(begun.errors.contains(rows), "\(begun.errors)")

    // A list of sums that leaves them out says nothing about them.
    let list = try String(decoding: Files.contents(of: older + "/SHA256SUMS"), as: UTF8.self)
    let shorter = list.split(separator: "\n").filter { !$0.contains("ngrams") }
    try AtomicFile.write(
      Array((shorter.joined(separator: "\n") + "\n").utf8), to: older + "/SHA256SUMS")
    let unsummed = try runProgram("lm-eval", perplexity + [older])
    #expect(
      unsummed.status == 1 && unsummed.errors.contains("no sum for ngrams.safetensors"),
      "\(unsummed)")
  }

  /// Figures under two lists of words are told apart, and never tested against each other.
  @Test func otherRulesForUnknownWordsAreNotCompared() throws {
    let folder = try TemporaryFolder()
    let text = try Self.text(folder)
    let words = folder.path + "/words.txt"
    _ = try Self.succeed(
      "lm-tokenize", ["--train", text, "--write-vocabulary", words, "--min-count", "40"])
    for (name, options) in [
      ("pieces", ["--vocab-size", "284"]), ("words", ["--vocabulary", words, "--word-level"]),
    ] {
      _ = try Self.succeed(
        "lm-tokenize", ["--train", text, "--output", folder.path + "/" + name] + options)
    }
    let runs = try ["pieces", "words"].map { try Self.train(folder, $0, []) }
    for order in [runs, runs.reversed()] {
      let outcome = try runProgram("lm-eval", ["compare"] + order + ["--text", text])
      #expect(outcome.status == 1 && outcome.output.isEmpty, "\(outcome.output)")
      #expect(
        outcome.errors.contains("every word exactly") && outcome.errors.contains("--vocabulary"),
        "\(outcome.errors)")
      let both = try Self.succeed(
        "lm-eval",
        ["perplexity", "--text", text] + ["--checkpoint"] + order)
      #expect(both.output.contains("cannot be compared"), "\(both.output)")
      #expect(both.output.contains("none  every word is spelt exactly (\(runs[0]))"))
    }
    // Under one list they can.
    let fair = try Self.succeed(
      "lm-eval", ["compare"] + runs + ["--text", text, "--vocabulary", words])
    #expect(!fair.output.contains("cannot be compared") && fair.output.contains("two-sided"))
  }
}
