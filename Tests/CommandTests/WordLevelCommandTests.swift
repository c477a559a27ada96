import Foundation
import TestSupport
import Testing

/// From a text and a list of words to a model of whole words and its figures, by the programs themselves.
@Suite(.serialized) struct WordLevelCommandTests {
  private static func succeed(_ name: String, _ arguments: [String], input: String = "") throws
    -> ProgramOutcome
  {
    let outcome = try runProgram(name, arguments, input: input)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome
  }

  private struct Figures: Decodable {
    let word_perplexity: Double
    let token_perplexity: Double
    let out_of_vocabulary: Int?
    let notes: [String]?
  }

  private static func figures(_ arguments: [String]) throws -> Figures {
    let outcome = try succeed("lm-eval", ["perplexity", "--json", "--threads", "1"] + arguments)
    return try JSONDecoder().decode(Figures.self, from: Data(outcome.output.utf8))
  }

  @Test func aListBecomesAModelWithItsFigures() throws {
    let folder = try TemporaryFolder()
    let place = folder.path
    let nouns = ["ash", "oak", "elm", "fir", "yew", "fox", "elk", "owl"]
    let lines = (0..<400).map { "the \(nouns[$0 % 8]) is near the \(nouns[$0 * 3 % 8]) ." }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text")
    let valid = try folder.write("the ash is near  the unicorn .\nthe owl\n", to: "valid")
    let test = try folder.write("the yew is near  the unicorn .\n", to: "test")
    let words = place + "/words.txt"
    _ = try Self.succeed(
      "lm-tokenize", ["--train", text, "--write-vocabulary", words, "--min-count", "3"])
    let made = try Self.succeed(
      "lm-tokenize",
      [
        "--train", text, "--valid", valid, "--test", test, "--vocabulary", words,
        "--word-level", "--output", place + "/data",
      ])
    #expect(made.output.contains("word, 15 tokens"))

    let train = [
      "--data", place + "/data", "--layers", "1", "--width", "16", "--heads", "2", "--hidden", "32",
      "--cutoffs", "6,10", "--batch-tokens", "100", "--warmup", "1", "--lr", "0.01", "--threads",
      "1",
      "--log-every", "10", "--checkpoint-every", "20", "--validate-every", "20",
    ]
    for run in ["/run", "/parts"] {
      _ = try Self.succeed(
        "lm-train",
        train + ["--steps", "40", "--output", place + run, "--schedule", "inverseSquareRoot"]
          + (run == "/parts" ? ["--minutes", "100"] : []))
    }
    let (run, data) = (place + "/run", place + "/data")
    #expect(
      try folder.contents(of: "run/step-00000040")["model.safetensors"]
        == folder.contents(of: "parts/step-00000040")["model.safetensors"])

    // Shards and raw text are one figure, which is one of words; the list need not be named.
    let ofShards = try Self.figures(["--checkpoint", run, "--data", data, "--split", "test"])
    let ofText = try Self.figures(["--checkpoint", run, "--text", test])
    let ofList = try Self.figures(
      ["--checkpoint", run, "--text", test, "--vocabulary", words])
    for figures in [ofShards, ofText, ofList] {
      #expect(figures.word_perplexity == ofShards.word_perplexity)
      #expect(figures.word_perplexity == figures.token_perplexity)
      #expect(figures.out_of_vocabulary == 1 && (figures.notes ?? []).isEmpty)
    }
    #expect(ofShards.word_perplexity < 60)

    // A list of other words is refused wherever one is given.
    let larger = try folder.write(nouns.joined(separator: "\n") + "\nunicorn\n", to: "larger")
    let model = data + "/tokenizer.model"
    for (name, arguments) in [
      ("lm-tokenize", ["--test", test, "--tokenizer", model, "--output", place + "/other"]),
      ("lm-eval", ["perplexity", "--checkpoint", run, "--text", test]),
      ("lm-eval", ["score", "--checkpoint", run, "--text", test]),
      ("lm-eval", ["compare", run, run, "--text", test]),
    ] {
      let refused = try runProgram(name, arguments + ["--vocabulary", larger])
      #expect(refused.status == 1 && refused.output.isEmpty, "\(refused)")
      #expect(refused.errors.contains("\(larger) is another one, which has 1 more"), "\(refused)")
    }

    let audit = try Self.succeed("lm-eval", ["audit", "--checkpoint", run, "--text", valid])
    #expect(!audit.output.contains("FAILED"))
    let scores = try Self.succeed(
      "lm-eval", ["score", "--per-word", "--checkpoint", run, "--text", test])
    // Every word has a line of its own, the unknown one too, and so has every end of a sentence.
    let rows = scores.output.split(separator: "\n").filter { !$0.hasPrefix("#") }
    let expected = "the yew is near the <UNK> . </s>".split(separator: " ")
    #expect(rows.map { $0.split(separator: "\t")[3] } == expected)
    let sampled = try Self.succeed(
      "lm-sample",
      ["--checkpoint", run, "--prompt", "the unicorn is", "--count", "3", "--seed", "4"])
    for line in sampled.output.split(separator: "\n") { #expect(line.hasPrefix("the <UNK> is")) }
    #expect(sampled.output.split(separator: "\n").count == 3)

    let refused = try runProgram(
      "lm-eval", ["export", "gguf", "--checkpoint", run, "--output", place + "/x.gguf"])
    #expect(refused.status == 1 && refused.errors.contains("clusters of the vocabulary"))
    _ = try Self.succeed(
      "lm-eval", ["export", "bf16", "--checkpoint", run, "--output", place + "/bf16"])
    let narrow = try Self.figures(["--checkpoint", place + "/bf16", "--text", test])
    #expect(abs(narrow.word_perplexity / ofShards.word_perplexity - 1) < 0.02)
    // Steps taken after an interruption have the bits of those without.
    _ = try Self.succeed(
      "lm-train", ["--output", run, "--resume", "--steps", "60", "--threads", "1"])
    _ = try Self.succeed(
      "lm-train", ["--output", place + "/parts", "--resume", "--steps", "50", "--threads", "1"])
    _ = try Self.succeed(
      "lm-train", ["--output", place + "/parts", "--resume", "--steps", "60", "--threads", "1"])
    #expect(
      try folder.contents(of: "run/step-00000060")["model.safetensors"]
        == folder.contents(of: "parts/step-00000060")["model.safetensors"])
  }
}
