import Foundation
import TestSupport
import Testing

/// `lm-eval perplexity --mix`, computed again from `lm-eval score --per-word`.
@Suite(.serialized) struct MixCommandTests {
  private static func succeed(_ name: String, _ arguments: [String]) throws -> String {
    let outcome = try runProgram(name, arguments)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome.output
  }

  private static func json(_ text: some StringProtocol) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  /// log10 of the probabilities of a model of single words.
  private static let unigrams: [(word: String, log10: Double)] = [
    ("<unk>", -1.75), ("</s>", -0.875), ("ash", -1), ("oak", -0.75), ("is", -0.5), ("near", -1.5),
  ]

  @Test func theMixtureIsThatOfItsWords() throws {
    let folder = try TemporaryFolder()
    let words = ["ash", "oak", "elm", "fir", "yew", "a tree", "the wood"]
    let lines = (0..<300).map { "\(words[$0 % 7]) is near \(words[$0 * 3 % 5]) ." }
    let path = try folder.write(lines.joined(separator: "\n") + "\n", to: "text")
    let (data, run) = (folder.path + "/data", folder.path + "/run")
    _ = try Self.succeed(
      "lm-tokenize",
      ["--train", path, "--split-valid", "0.1", "--split-test", "0.1", "--vocab-size", "278"]
        + ["--output", data])
    _ = try Self.succeed(
      "lm-train",
      [
        "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
        "--hidden", "24", "--batch-tokens", "200", "--steps", "30", "--threads", "1",
      ])
    let arpa = try folder.write(
      """
      \\data\\
      ngram 1=\(Self.unigrams.count + 1)

      \\1-grams:
      -99 <s>
      \(Self.unigrams.map { "\($0.log10) \($0.word)" }.joined(separator: "\n"))

      \\end\\
      """, to: "uni.arpa")
    let text = try folder.write("ash is near oak\nthe zebra is ash\n", to: "new")

    let scored = try Self.succeed(
      "lm-eval",
      ["score", "--checkpoint", run, "--text", text, "--per-word", "--format", "jsonl"])
    var (mixed, alone, decoder) = (0.0, 0.0, 0.0)
    for line in scored.split(separator: "\n") {
      let word = try Self.json(line)
      let nats = try #require(word["nats"] as? Double)
      let spelled = try #require(word["text"] as? String)
      let found = Self.unigrams.first { $0.word == spelled }
      let log10 = found?.log10 ?? Self.unigrams[0].log10
      decoder += nats
      alone -= log10 * log(10)
      let known: Double = found == nil ? 0 : pow(10, log10)
      mixed -= log(0.75 * exp(-nats) + 0.25 * known)
    }
    let perplexity = ["perplexity", "--checkpoint", run]
    let figures = try Self.json(
      Self.succeed(
        "lm-eval",
        perplexity + ["--text", text, "--mix", arpa, "--mix-weight", "0.75", "--json"]))
    let mixture = try #require(figures["mixture"] as? [String: Any])
    for (name, nats) in [("mixed", mixed), ("ngram", alone), ("decoder", decoder)] {
      let part = try #require(mixture[name] as? [String: Any])
      let found = try #require(part["nats"] as? Double)
      #expect(abs(found - nats) < 1e-5, "\(name)")
      let figure = try #require(part["word_perplexity"] as? Double)
      let expected: Double = exp(nats / 10)
      #expect(abs(figure - expected) < 1e-5 * figure)
      #expect(part["standard_error"] is Double)
    }
    #expect(mixture["unknown_to_ngrams"] as? Int == 2 && mixture["ngrams"] as? [Int] == [7])
    #expect(mixture["weight_from"] as? String == "given by --mix-weight")
    #expect(
      figures["nats"] as? Double == (mixture["decoder"] as? [String: Any])?["nats"] as? Double)
    // Without an n-gram model there is no trace of one.
    let plain = try Self.succeed("lm-eval", perplexity + ["--text", text, "--json"])
    #expect(!plain.contains("mixture"))

    // Tuned, the mixture is as good as either part on the text that it was tuned on, and said to be so.
    let tuned = perplexity + ["--data", data, "--split", "valid", "--mix", arpa]
    let best = try #require(
      Self.json(Self.succeed("lm-eval", tuned + ["--json"]))["mixture"] as? [String: Any])
    let nats = try ["mixed", "decoder"].map {
      try #require((best[$0] as? [String: Any])?["nats"] as? Double)
    }
    #expect(nats[0] <= nats[1] + 1e-6, "\(nats)")
    let table = try Self.succeed("lm-eval", tuned + ["--threads", "2"])
    #expect(table.contains("the very text that is measured"), "\(table)")
    for line in ["decoder alone", "n-gram alone", "mixed"] {
      #expect(table.contains("\n\(line) "), "\(table)")
    }

    // So is a weight that was tuned on the text, or on a part of it, under whatever name.
    let other = try folder.write("oak is near ash\n", to: "other")
    for (measured, tuned, words) in [
      ([text], [folder.path + "/./new"], ", the very text that is measured"),
      ([text], [text, other], ", and part of that is measured"), ([text], [other], ""),
    ] {
      let output = try Self.succeed(
        "lm-eval",
        perplexity + ["--text"] + measured + ["--mix", arpa, "--json", "--mix-tune"] + tuned)
      let mixture = try #require(Self.json(output)["mixture"] as? [String: Any])
      let name = tuned.joined(separator: ", ")
      #expect(mixture["weight_from"] as? String == "tuned on \(name)\(words)")
    }
    let splits = perplexity + ["--data", data, "--split", "valid", "test", "--mix", arpa]
    #expect(try Self.succeed("lm-eval", splits).contains("and part of that is measured"))

    for (options, sentence) in [
      (["--text", text, "--mix", arpa], "--mix-tune"),
      (["--text", text, "--mix", arpa, "--mix-weight", "1.5"], "expected 0 to 1"),
      (["--text", text, "--mix-weight", "0.5"], "belong to --mix"),
      (["--data", data, "--mix", arpa, "--paper-line"], "leave out --mix"),
      (["--data", data, "--mix", arpa, "--context", "stream", "--length", "9"], "begins at <s>"),
      (["--data", data, "--mix", text], "ends before \\data\\"),
      (["--data", data, "--mix", "/none"], "/none"),
    ] {
      let outcome = try runProgram("lm-eval", perplexity + options)
      #expect(outcome.status != 0 && outcome.output.isEmpty, "\(options)")
      let errors = outcome.errors.split(separator: "\n").filter { $0.contains("rror:") }
      #expect(errors.count == 1 && errors[0].contains(sentence), "\(outcome.errors)")
    }
  }
}
