import Foundation
import TestSupport
import Testing

/// Text → shards → checkpoint → perplexity → samples, through the programs that a user runs.
@Suite(.serialized) struct EndToEndTests {
  /// Sentences of a small grammar, so that a small model has something to learn.
  private static func text(lines: Int) -> String {
    let subjects = ["the king", "a shepherd", "the old woman", "his brother", "the people"]
    let verbs = ["saw", "blessed", "followed", "did not know", "spoke to"]
    let objects = ["the city", "a stranger", "the river at night", "their children", "him"]
    return (0..<lines).map { line in
      let mixed = line &* 2_654_435_761 >> 7
      return "\(subjects[mixed % 5]) \(verbs[mixed / 5 % 5]) \(objects[mixed / 25 % 5]) ."
    }.joined(separator: "\n") + "\n"
  }

  private static let model = [
    "--layers", "2", "--width", "32", "--heads", "2", "--hidden", "64", "--steps", "160",
    "--batch-tokens", "400", "--rate", "0.01", "--warmup", "5", "--log-every", "20",
    "--validate-every", "80", "--checkpoint-every", "80", "--threads", "2",
  ]

  /// Runs a program that must succeed; returns its standard output.
  private static func succeed(_ name: String, _ arguments: [String], input: String = "") throws
    -> String
  {
    let outcome = try runProgram(name, arguments, input: input)
    #expect(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome.output
  }

  private static func tokenized(_ folder: TemporaryFolder) throws -> String {
    let text = try folder.write(text(lines: 3_000), to: "text.txt")
    _ = try succeed(
      "lm-tokenize",
      [
        "--train", text, "--split-valid", "0.1", "--split-test", "0.1", "--vocab-size", "300",
        "--model-type", "bpe",
        "--output", folder.path + "/data",
      ])
    return folder.path + "/data"
  }

  private static func json(_ text: String) throws -> [String: Any] {
    try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
  }

  @Test(arguments: [
    "softmax", "hierarchical:blockSize=4", "yoso", "yoso:estimate=hybrid,chunk=4",
    "combiner:segment=4", "combiner:pattern=rowmajor,segment=3,address=proj",
    "combiner:pattern=logsparse",
  ])
  func textBecomesPerplexityAndSamples(attention: String) throws {
    let folder = try TemporaryFolder()
    let data = try Self.tokenized(folder)
    let run = folder.path + "/run"
    let plan = try Self.succeed(
      "lm-train", ["--data", data, "--output", run, "--attention", attention] + Self.model)
    #expect(plan.contains("parameters") && plan.contains("FLOP a token"))

    let sums = try folder.contents(of: "run/step-00000160")["SHA256SUMS"]
    for name in ["tokenizer.model", "tokenizer.json", "tokenizer_config.json"] {
      #expect(String(decoding: sums ?? [], as: UTF8.self).contains("  \(name)\n"))
    }

    let report = try Self.succeed(
      "lm-eval", ["--perplexity", "--checkpoint", run, "--data", data, "--split", "test"])
    #expect(report.contains("word perplexity") && report.contains("bits per byte"))
    let figures = try Self.json(
      Self.succeed("lm-eval", ["--checkpoint", run, "--data", data, "--json"]))
    // A random estimate is scored by its expectation and, beside that, over several draws.
    let isSampled = attention.hasPrefix("yoso")
    #expect(
      Set(figures.keys).symmetricDifference([
        "word_perplexity", "token_perplexity", "bits_per_byte", "nats", "words", "tokens",
        "sentences", "bytes", "standard_error",
      ]) == (isSampled ? ["sampled"] : []))
    // Five choices three times a sentence: about 4.8 nats over 7 to 10 words. Untrained: hundreds.
    var perplexity = try #require(figures["word_perplexity"] as? Double)
    if isSampled {
      let sampled = try #require(figures["sampled"] as? [String: Any])
      #expect((sampled["word_perplexities"] as? [Double])?.count == 4)
      #expect(try #require(sampled["deviation"] as? Double) > 0)
      perplexity = try #require(sampled["mean"] as? Double)
    }
    #expect(perplexity < (isSampled ? 8 : 4), "\(perplexity)")

    let prompt = ["--checkpoint", run, "--prompt", "the king", "--count", "3", "--seed", "5"]
    let samples = try Self.succeed("lm-sample", prompt)
    #expect(samples.split(separator: "\n").count { $0.hasPrefix("the king") } == 3)
    #expect(try Self.succeed("lm-sample", prompt + ["--threads", "1"]) == samples)
    let greedy = ["--checkpoint", run, "--temperature", "0"]
    let piped = try Self.succeed("lm-sample", greedy, input: "the king")
    #expect(try Self.succeed("lm-sample", greedy + ["--prompt", "the king"]) == piped)
  }

  @Test func interruptedRunsEndAlike() throws {
    let folder = try TemporaryFolder()
    let data = try Self.tokenized(folder)
    let whole = ["--data", data, "--output", folder.path + "/whole"]
    _ = try Self.succeed("lm-train", whole + Self.model)
    let parts = ["--data", data, "--output", folder.path + "/parts"]
    let stopped = try runProgram(
      "lm-train", parts + Self.model, signal: (SIGTERM, after: "step 20/160"))
    #expect(stopped.status == 128 + SIGTERM, "\(stopped.errors)")
    #expect(stopped.errors.contains("--resume"))
    _ = try Self.succeed("lm-train", parts + ["--resume", "--threads", "1"])
    let name = "step-00000160"
    let files = try ["whole", "parts"].map { try folder.contents(of: $0 + "/" + name) }
    for file in ["model.safetensors", "optimizer.safetensors", "config.json"] {
      #expect(files[0][file] != nil && files[0][file] == files[1][file], "\(file)")
    }
  }

  /// Every mistake ends with one sentence that names it, and with 1 or 2.
  @Test func mistakesAreSaidInOneSentence() throws {
    let folder = try TemporaryFolder()
    let data = try Self.tokenized(folder)
    let run = folder.path + "/run"
    _ = try Self.succeed(
      "lm-train", ["--data", data, "--output", run] + Self.model + ["--steps", "2"])
    let empty = try folder.write("", to: "empty.txt")
    let invalid = try folder.write([0x61, 0x0A, 0xFF, 0x0A], to: "invalid.txt")
    let other = try folder.write(Self.text(lines: 900), to: "other.txt")
    _ = try Self.succeed(
      "lm-tokenize",
      [
        "--train", other, "--vocab-size", "290", "--model-type", "bpe", "--output",
        folder.path + "/other",
      ])
    let long = String(repeating: "the king saw ", count: 900)
    let cases: [(String, [String], String)] = [
      ("lm-train", ["--data", folder.path + "/none", "--output", run + "2"], "/none"),
      ("lm-train", ["--data", data, "--output", run + "2", "--preset", "vast"], "vast"),
      (
        "lm-train",
        [
          "--data", data, "--output", run + "2", "--attention", "hierarchical:blockSize=5",
        ],
        "even"
      ),
      (
        "lm-train", ["--data", data, "--output", run + "2", "--attention", "fourier"],
        "choose one of softmax"
      ),
      (
        "lm-train",
        ["--data", data, "--output", run + "2", "--attention", "hierarchical:blocks=5"],
        "blockSize, query"
      ),
      ("lm-train", ["--data", data, "--output", run], "--resume"),
      ("lm-train", ["--data", folder.path + "/other", "--output", run, "--resume"], "tokens"),
      ("lm-eval", ["--checkpoint", folder.path + "/none", "--data", data], "/none"),
      ("lm-eval", ["--checkpoint", run, "--data", folder.path + "/other"], "tokenizer"),
      ("lm-eval", ["--checkpoint", run, "--text", empty], "empty.txt"),
      ("lm-eval", ["--checkpoint", run, "--text", invalid], "line 2"),
      ("lm-eval", ["--checkpoint", run, "--data", data, "--split", "none"], "none"),
      ("lm-sample", ["--checkpoint", run, "--prompt", long], "2046"),
      ("lm-sample", ["--checkpoint", run, "--prompt", "a", "--temperature=-1"], "temperature"),
    ]
    for (name, arguments, word) in cases {
      let outcome = try runProgram(name, arguments)
      #expect(outcome.status == 1 || outcome.status == 2, "\(name) \(arguments)")
      let error = outcome.errors.split(separator: "\n").filter { $0.lowercased().contains("error") }
      #expect(error.count == 1 && error[0].contains(word), "\(arguments): \(outcome.errors)")
    }
  }
}
