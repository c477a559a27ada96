import Foundation
import TestSupport
import Testing

/// Options beside the configuration of a run that exists: what agrees is no contradiction, and what is told
/// to be done can be done.
@Suite(.serialized) struct RecipeCommandTests {
  private static let model = [
    "--layers", "1", "--width", "16", "--heads", "2", "--hidden", "32", "--batch-tokens", "100",
    "--warmup", "1", "--bigram-rows", "50", "--trigram-rows", "70", "--threads", "1",
  ]

  /// Shards and a run of `news` on them, small.
  private static func world(_ folder: TemporaryFolder) throws -> (data: String, run: String) {
    let words = ["ash", "oak", "elm", "fir", "yew"]
    let text = (0..<200).map { "the \(words[$0 % 5]) is near the \(words[$0 * 3 % 5]) ." }
    let path = try folder.write(text.joined(separator: "\n") + "\n", to: "text.txt")
    let (data, run) = (folder.path + "/data", folder.path + "/run")
    let made = try runProgram(
      "lm-tokenize",
      ["--train", path, "--model-type", "bpe", "--vocab-size", "285", "--output", data])
    try #require(made.status == 0, "\(made.errors)")
    let trained = try runProgram(
      "lm-train",
      [
        "--data", data, "--output", run, "--preset", "news", "--steps", "3",
        "--softmax-candidates", "100",
      ] + model)
    try #require(trained.status == 0, "\(trained.errors)")
    return (data, run)
  }

  private static func contents(_ path: String) throws -> String {
    try String(contentsOfFile: path, encoding: .utf8)
  }

  @Test func whatAgreesWithARunIsNoOtherRun() throws {
    let folder = try TemporaryFolder()
    let (data, run) = try Self.world(folder)
    let before = try Self.contents(run + "/config.json")
    for options in [
      ["--ngram-rate", "0.02"], ["--embedding-rate", "0.004"], ["--matrix-rate", "4e-3"],
      ["--gradient-shares", "1"], ["--precision", "float32"], ["--no-freeze-embedding"],
      ["--muon-form", "gram"], ["--attention", "softmax", "--head-dim", "8"],
    ] {
      let outcome = try runProgram("lm-train", ["--output", run, "--resume"] + options)
      #expect(outcome.status == 0, "\(options): \(outcome.errors)")
      #expect(try Self.contents(run + "/config.json") == before, "\(options)")
    }
    for (option, value, found) in [
      ("--ngram-rate", "0.03", "--ngram-rate 0.02"),
      ("--embedding-rate", "0.003", "--embedding-rate 0.004"),
      ("--gradient-shares", "2", "--gradient-shares 1"),
    ] {
      let outcome = try runProgram("lm-train", ["--output", run, "--resume", option, value])
      #expect(outcome.status == 1, "\(option): \(outcome)")
      #expect(
        outcome.errors.contains("which has \(found), not \(option) \(value);"), "\(outcome.errors)")
    }
    // Of a new run they are not written either, and positions of one that has others stay.
    let other = folder.path + "/other"
    let begun = try runProgram(
      "lm-train",
      [
        "--data", data, "--output", other, "--preset", "news", "--steps", "3",
        "--softmax-candidates", "100", "--ngram-rate", "0.02", "--embedding-rate", "0.004",
        "--matrix-rate", "0.004", "--gradient-shares", "1",
      ] + Self.model)
    #expect(begun.status == 0, "\(begun.errors)")
    #expect(try Self.contents(other + "/config.json") == before)
    let sinusoidal = folder.path + "/sinusoidal"
    let placed = ["--output", sinusoidal, "--attention", "softmax", "--position", "sinusoidal"]
    #expect(
      try runProgram("lm-train", placed + ["--data", data, "--steps", "2"] + Self.model).status == 0
    )
    let resumed = try runProgram(
      "lm-train", ["--output", sinusoidal, "--attention", "softmax", "--resume"])
    #expect(resumed.status == 0, "\(resumed.errors)")
  }

  @Test func adviceCanBeFollowed() throws {
    let folder = try TemporaryFolder()
    let (data, run) = try Self.world(folder)
    let plan = ["--data", data, "--dry-run", "--threads", "1"]
    let file = plan + ["--config", run + "/config.json"]
    // What the file has gives way, with a note.
    for (options, word) in [
      (["--attention", "yoso"], "YOSO looks at their directions alone"),
      (["--cutoffs", "100"], "clusters save that work"),
      (["--optimizer", "adamW"], "nothing is in Gram form"), ([], ""),
    ] {
      let outcome = try runProgram("lm-train", file + options)
      #expect(outcome.status == 0, "\(options): \(outcome.errors)")
      let lines = outcome.errors.split(separator: "\n")
      #expect(lines.count == (word.isEmpty ? 0 : 1), "\(options): \(lines)")
      #expect(
        lines.allSatisfy { $0.contains("note: of \(run)/config.json, ") && $0.contains(word) },
        "\(lines)")
    }
    // What contradicts itself is refused, in words that help.
    let refusals: [(options: [String], advice: String, remedy: [String])] = [
      (
        file + ["--attention", "yoso", "--qk-norm"], "leave out --qk-norm", ["--attention", "yoso"]
      ),
      (plan + ["--init-from", run, "--ema", "0.9"], "leave out --ema", []),
    ]
    for (options, advice, remedy) in refusals {
      let refused = try runProgram("lm-train", options)
      #expect(refused.status == 1 && refused.errors.contains(advice), "\(options): \(refused)")
      #expect(!refused.errors.contains("--bigram-rows 0"), "\(refused.errors)")
      let kept = options.prefix(plan.count + 2) + remedy
      #expect(try runProgram("lm-train", Array(kept)).status == 0, "\(kept)")
    }
  }

  /// Numbers of valid JSON that cannot be, by their key.
  @Test func numbersOfAConfigurationAreNamed() throws {
    let folder = try TemporaryFolder()
    let (data, run) = try Self.world(folder)
    let config = try Self.contents(run + "/config.json")
    for (number, words) in [
      ("1.5", "model.bigram_rows: found 1.5, expected a whole number"),
      ("1e300", "model.bigram_rows: found 1e+300, expected a smaller whole number"),
    ] {
      let path = try folder.write(
        config.replacing("\"bigram_rows\" : 50", with: "\"bigram_rows\" : \(number)"),
        to: "changed.json")
      let outcome = try runProgram(
        "lm-train", ["--data", data, "--dry-run", "--config", path])
      #expect(outcome.status == 1 && outcome.errors.contains(words), "\(outcome)")
    }
  }

  @Test func presetsAreAListOfTwoColumns() throws {
    let lines = try runProgram("lm-train", ["--list-presets"]).output.split(separator: "\n")
    let names = lines.filter { !$0.hasPrefix(" ") }
    let column = lines.first { $0.hasPrefix(" ") }?.prefix { $0 == " " }.count ?? 0
    #expect(names.count > 5 && column > 12)
    for line in names {
      #expect(
        line.prefix(column).hasSuffix("  ") && !line.dropFirst(column).hasPrefix(" "), "\(line)")
    }
  }
}
