import Foundation
import TestSupport
import Testing

/// From a run on one text to a run on another, by the programs that a user runs.
@Suite(.serialized) struct FineTuningTests {
  private static let model = [
    "--layers", "1", "--width", "16", "--heads", "2", "--hidden", "32", "--threads", "1",
  ]
  private static let recipe = [
    "--batch-tokens", "100", "--warmup", "1", "--lr", "0.01", "--log-every", "5",
    "--validate-every", "5", "--checkpoint-every", "5",
  ]

  private static func run(_ name: String, _ arguments: [String]) throws -> ProgramOutcome {
    try runProgram(name, arguments)
  }

  private static func succeed(_ name: String, _ arguments: [String]) throws -> ProgramOutcome {
    let outcome = try runProgram(name, arguments)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome
  }

  /// One sentence, an exit code of 1, and all of these words in it.
  private static func refuse(_ arguments: [String], _ words: String..., status: Int32 = 1) throws {
    let outcome = try run("lm-train", arguments)
    #expect(outcome.status == status, "\(arguments): \(outcome)")
    for word in words { #expect(outcome.errors.contains(word), "\(word): \(outcome.errors)") }
    if status == 1 {
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    }
  }

  private static func text(_ folder: TemporaryFolder, _ name: String, _ nouns: [String]) throws
    -> String
  {
    let lines = (0..<300).map { "the \(nouns[$0 % 5]) is near the \(nouns[$0 * 3 % 5]) ." }
    return try folder.write(lines.joined(separator: "\n") + "\n", to: name + ".txt")
  }

  /// Two texts under the tokenizer of the first, and a run on the first.
  private static func world(_ folder: TemporaryFolder) throws -> (data: String, origin: String) {
    let split = ["--split-valid", "0.1", "--split-test", "0.1"]
    let first = try text(folder, "first", ["ash", "oak", "elm", "fir", "yew"])
    let other = try text(folder, "other", ["fox", "elk", "owl", "ram", "asp"])
    let place = folder.path
    _ = try succeed(
      "lm-tokenize",
      [
        "--train", first, "--model-type", "bpe", "--vocab-size", "285", "--output",
        place + "/first",
      ] + split)
    _ = try succeed(
      "lm-tokenize",
      [
        "--train", other, "--tokenizer", place + "/first/tokenizer.model", "--output",
        place + "/other",
      ] + split)
    _ = try succeed(
      "lm-train",
      ["--data", place + "/first", "--output", place + "/origin", "--steps", "20"] + model + recipe)
    return (place + "/other", place + "/origin")
  }

  @Test func aRunGoesOnWithAnotherText() throws {
    let folder = try TemporaryFolder()
    let (data, origin) = try Self.world(folder)
    let tuned = folder.path + "/tuned"
    let begin = ["--data", data, "--output", tuned, "--init-from", origin + "/best"]
    let trained = try Self.succeed(
      "lm-train",
      begin + ["--epochs", "2", "--ema", "0.9", "--freeze-embedding", "--threads", "1"]
        + Self.recipe)
    #expect(trained.output.contains("begins with"), "\(trained.output)")
    #expect(trained.output.contains("the embeddings stay as they are"), "\(trained.output)")
    #expect(trained.output.contains("average of the weights with 0.9"), "\(trained.output)")
    #expect(trained.output.contains("2.0"), "\(trained.output)")
    #expect(trained.errors.contains("validation of the average: "), "\(trained.errors)")

    // Named wherever the run is told of.
    let config = try #require(
      JSONSerialization.jsonObject(
        with: Data(contentsOf: URL(fileURLWithPath: tuned + "/config.json")))
        as? [String: Any])
    let weights = try #require(config["initialWeights"] as? [String: Any])
    let sum = try #require(weights["weightsSHA256"] as? String)
    let model = try #require(config["model"] as? [String: Any])
    #expect(model["hidden_size"] as? Int == 16 && model["num_hidden_layers"] as? Int == 1)
    let starts = try String(contentsOfFile: tuned + "/starts.jsonl", encoding: .utf8)
    #expect(starts.contains("\"initialWeights\":") && starts.contains(sum), "\(starts)")
    let score = ["--data", data, "--split", "test", "--threads", "1"]
    for checkpoint in [tuned, tuned + "/best", tuned + "/ema.safetensors"] {
      let line = try Self.succeed(
        "lm-eval", ["perplexity", "--checkpoint", checkpoint, "--paper-line"] + score
      ).output
      #expect(line.contains(", trained from checkpoint ") && line.contains(sum), "\(line)")
      #expect(
        line.contains("ema.safetensors SHA-256") == checkpoint.hasSuffix("ema.safetensors"),
        "\(line)")
      let table = try Self.succeed(
        "lm-eval", ["perplexity", "--checkpoint", checkpoint, "--record"] + score)
      #expect(table.output.contains("trained from"), "\(table.output)")
      #expect(table.errors.contains("recorded in \(tuned)/evaluations.jsonl"), "\(table.errors)")
      _ = try Self.succeed("lm-sample", ["--checkpoint", checkpoint, "--max-tokens", "5"])
    }
    let plain = try Self.succeed(
      "lm-eval", ["perplexity", "--checkpoint", origin, "--paper-line"] + score)
    #expect(!plain.output.contains("trained from"), "\(plain.output)")
    for path in [tuned, tuned + "/best"] {
      _ = try Self.succeed("lm-eval", ["verify", path])
      _ = try Self.succeed("lm-eval", ["report", path])
    }
    let page = try String(contentsOfFile: tuned + "/report.html", encoding: .utf8)
    #expect(page.contains("trained from checkpoint ") && page.contains("validation of the average"))

    // With the same option the run is resumed, with another refused; the origin may be gone by then.
    #expect(try Self.succeed("lm-train", begin + ["--resume"]).errors.contains("was finished"))
    try Self.refuse(
      ["--output", tuned, "--resume", "--init-from", tuned], "began with checkpoint", origin)
    try Self.refuse(
      ["--output", origin, "--resume", "--init-from", tuned], "began with weights of its own")
    try FileManager.default.removeItem(atPath: origin)
    _ = try Self.succeed("lm-train", begin + ["--resume"])
  }

  @Test func whatDoesNotFitIsOneSentence() throws {
    let folder = try TemporaryFolder()
    let (data, origin) = try Self.world(folder)
    let begin = ["--data", data, "--output", folder.path + "/tuned", "--init-from", origin]
    for (option, value) in [
      ("--layers", "2"), ("--width", "32"), ("--attention", "yoso"), ("--position", "sinusoidal"),
      ("--bigram-rows", "7"),
    ] {
      try Self.refuse(begin + [option, value], "not \(option) \(value)", "leave out that option")
    }
    try Self.refuse(begin + ["--no-tied-head"], "has --tied-head, not --no-tied-head")
    // What agrees is no contradiction.
    _ = try Self.succeed(
      "lm-train", begin + ["--layers", "1", "--attention", "softmax", "--dry-run"])
    let own = folder.path + "/own"
    _ = try Self.succeed(
      "lm-tokenize",
      [
        "--train", folder.path + "/other.txt", "--model-type", "bpe", "--vocab-size", "280",
        "--output", own,
      ])
    try Self.refuse(
      ["--data", own, "--output", folder.path + "/x", "--init-from", origin],
      "another tokenizer", "lm-tokenize --tokenizer", "/tokenizer.model")
    try Self.refuse(
      ["--data", own, "--output", folder.path + "/x", "--patience", "2"] + Self.model,
      "no text in the split valid")
    try Self.refuse(
      ["--data", data, "--output", folder.path + "/x", "--init-from", data], "neither a run")
    try Self.refuse(
      ["--data", data, "--output", folder.path + "/x", "--init-from", origin + "/ema.safetensors"],
      "has no ema.safetensors", "--ema")
    try Self.refuse(
      ["--data", data, "--output", folder.path + "/x", "--freeze-embedding"] + Self.model,
      "--freeze-embedding goes with --init-from")
    try Self.refuse(
      ["--data", data, "--output", origin, "--init-from", origin], "already holds a run")
    try Self.refuse(
      ["--assume-1bw", "--dry-run", "--init-from", origin], "--assume-1bw goes with", status: 2)
    let none = try Self.run(
      "lm-eval", ["perplexity", "--checkpoint", data + "/best", "--data", data])
    #expect(none.status == 1 && none.errors.contains("neither a run"), "\(none.errors)")
  }

  @Test func aRunEndsByPatienceAndByTime() throws {
    let folder = try TemporaryFolder()
    let (data, _) = try Self.world(folder)
    let early = [
      "--data", data, "--output", folder.path + "/early", "--steps", "400", "--patience", "2",
      "--lr", "1.5",
    ]
    let model =
      Self.model + [
        "--batch-tokens", "100", "--warmup", "1", "--validate-every", "5", "--log-every", "5",
      ]
    let ended = try Self.succeed("lm-train", early + model)
    #expect(ended.errors.contains("2 validations in a row were no better"), "\(ended.errors)")
    #expect(ended.errors.contains("next: lm-eval perplexity --checkpoint"), "\(ended.errors)")
    #expect(ended.errors.contains("/early/best"), "\(ended.errors)")
    let again = try Self.succeed(
      "lm-train", ["--output", folder.path + "/early", "--resume", "--patience", "2"])
    #expect(again.errors.contains("no better than"), "\(again.errors)")

    let late = try Self.run(
      "lm-train",
      [
        "--data", data, "--output", folder.path + "/late", "--steps", "10000000", "--minutes",
        "0.03",
      ]
        + Self.model)
    #expect(late.status == 138, "\(late)")
    #expect(late.errors.contains("the learning rate follows the steps"), "\(late.errors)")
  }

  @Test func optionsAreSpelledAsPeopleDo() throws {
    let folder = try TemporaryFolder()
    let (data, _) = try Self.world(folder)
    let run = folder.path + "/spelled"
    _ = try Self.succeed(
      "lm-train",
      [
        "--data", data, "--output", run, "--steps", "2", "--learning-rate", "0.003",
        "--grad-clip", "0.5", "--betas", "0.8,0.9", "--weight-decay", "0.01", "--decay-share",
        "0.25", "--warmup", "1",
      ] + Self.model)
    let config = try String(contentsOfFile: run + "/config.json", encoding: .utf8)
    for text in [
      "\"rate\" : 0.003", "\"clipNorm\" : 0.5", "\"beta1\" : 0.8", "\"beta2\" : 0.9",
      "\"weightDecay\" : 0.01", "\"decay\" : 0.25",
    ] {
      #expect(config.contains(text), "\(text): \(config)")
    }
    for (option, value) in [
      ("--grad-clip", "1"), ("--betas", "0.9,0.9"), ("--decay-share", "0.5"), ("--ema", "0.5"),
    ] {
      try Self.refuse(
        ["--output", run, "--resume", option, value], "--resume goes on with", option)
    }
    let unread = ["--data", "x", "--output", "y"]
    for (option, value) in [
      ("--betas", "0.9"), ("--betas", "0.9,1"), ("--betas", "a,b"), ("--epochs", "0.0"),
      ("--epochs", "nan"), ("--patience", "-1"), ("--ema", "1.0"), ("--grad-clip", "-1.0"),
      ("--decay-share", "2.0"), ("--lr", "-3.0"),
    ] {
      let outcome = try Self.run("lm-train", unread + [option, value])
      #expect(outcome.status == 2, "\(option) \(value): \(outcome)")
      #expect(
        outcome.errors.contains(option == "--lr" ? "--rate" : option), "\(outcome.errors)")
    }
    try Self.refuse(
      unread + ["--steps", "2", "--epochs", "1"], "give --steps or --epochs, not both", status: 2)
    for (option, meant) in [
      ("--batch-size", "give --batch-tokens"), ("--max_steps", "give --steps"),
      ("--batch_tokens", "give --batch-tokens"), ("--num_train_epochs", "give --epochs"),
      ("--block-size", "--stream-length"),
    ] {
      let outcome = try Self.run("lm-train", unread + [option, "8"])
      #expect(outcome.status == 2, "\(option): \(outcome)")
      #expect(outcome.errors.contains("Unknown option '\(option)': "), "\(outcome.errors)")
      #expect(outcome.errors.contains(meant), "\(outcome.errors)")
    }
    let plan = try Self.succeed(
      "lm-train", ["--assume-1bw", "--dry-run", "--preset", "h1d-53m", "--epochs", "1"])
    #expect(plan.output.contains("about 1.00 epoch"), "\(plan.output)")
  }
}
