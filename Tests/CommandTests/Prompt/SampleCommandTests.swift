import Foundation
import TestSupport
import Testing

/// `lm-sample`: objects, probabilities, texts to stop at, penalties, completions.
@Suite(.serialized) struct SampleCommandTests {
  private struct World {
    let folder: TemporaryFolder
    let run: String

    init() throws {
      folder = try TemporaryFolder()
      let names = ["birch", "elm", "oak", "willow", "yew", "near", "a", "brook"]
      var text = ""
      for line in 0..<600 {
        for word in 0..<(3 + line % 5) { text += names[(line * 7 + word * word * 3) % 8] + " " }
        text += ".\n"
      }
      run = folder.path + "/run"
      let data = folder.path + "/data"
      for (name, arguments) in [
        (
          "lm-tokenize",
          [
            "--train", try folder.write(text, to: "text.txt"), "--vocab-size", "280",
            "--model-type", "bpe", "--output", data,
          ]
        ),
        (
          "lm-train",
          [
            "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
            "--hidden", "32", "--steps", "60", "--batch-tokens", "300", "--rate", "0.02",
            "--warmup", "2",
          ]
        ),
      ] {
        let outcome = try runProgram(name, arguments)
        try #require(outcome.status == 0, "\(outcome.errors)")
      }
    }

    func sample(_ arguments: [String], input: String = "") throws -> String {
      let outcome = try runProgram("lm-sample", ["--checkpoint", run] + arguments, input: input)
      try #require(outcome.status == 0, "\(arguments): \(outcome.errors)")
      return outcome.output
    }

    func objects(_ arguments: [String], input: String = "") throws -> [[String: Any]] {
      try sample(arguments + ["--json"], input: input).split(separator: "\n").map {
        try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
    }
  }

  @Test func objectsHoldTheSamples() throws {
    let world = try World()
    let prompt = ["--prompt", "a birch", "--count", "30", "--max-tokens", "12"]
    let lines = try world.sample(prompt).split(separator: "\n").map(String.init)
    let objects = try world.objects(prompt)
    #expect(objects.count == 30 && lines.count == 30)
    for (number, (line, object)) in zip(lines, objects).enumerated() {
      #expect(object["prompt"] as? String == "a birch" && object["sample"] as? Int == number + 1)
      let continuation = try #require(object["continuation"] as? String)
      #expect("a birch" + continuation == line)
      #expect(object["tokens"] == nil && object["logprobs"] == nil)
    }
    let ends = objects.map { $0["end"] as? String }
    #expect(ends.contains("sentence") && ends.contains("length"))
    // Every line of a pipe is a prompt.
    let piped = try world.objects(["--temperature", "0"], input: "oak\n\nelm\n")
    #expect(piped.map { $0["prompt"] as? String } == ["oak", "", "elm"])
    #expect(piped.map { $0["sample"] as? Int } == [1, 1, 1])
  }

  /// The tokens of a sentence have the probabilities that `lm-eval` gives them.
  @Test func probabilitiesAreThoseOfEvaluation() throws {
    let world = try World()
    let samples = try world.objects(["--count", "20", "--logprobs", "--temperature", "0.5"])
    let plain = try world.objects(["--count", "20", "--temperature", "0.5"])
    #expect(
      samples.map { $0["continuation"] as? String } == plain.map { $0["continuation"] as? String })
    let whole = samples.filter { $0["end"] as? String == "sentence" }
    try #require(!whole.isEmpty)
    let text = whole.map { ($0["continuation"] as? String ?? "") + "\n" }.joined()
    let scored = try runProgram(
      "lm-eval",
      ["score", "--checkpoint", world.run, "--text", "-", "--per-token", "--format", "jsonl"],
      input: text)
    var compared = 0
    for (sample, line) in zip(whole, scored.output.split(separator: "\n")) {
      let object = try #require(
        JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any])
      let tokens = try #require(sample["tokens"] as? [String])
      #expect(tokens.last == "</s>")
      // A model may spell a text in other tokens than its tokenizer.
      guard tokens == object["tokens"] as? [String] else { continue }
      let (found, expected) = try (
        #require(sample["logprobs"] as? [Double]), #require(object["logprobs"] as? [Double])
      )
      #expect(found.count == tokens.count && found.count == expected.count)
      for (found, expected) in zip(found, expected) { #expect(abs(found - expected) < 1e-4) }
      compared += 1
    }
    #expect(compared > 0)
  }

  @Test func samplesEndBeforeATextToStopAt() throws {
    let world = try World()
    let prompt = ["--prompt", "a birch", "--max-tokens", "40"]
    let free = try world.sample(prompt + ["--count", "30"]).split(separator: "\n").map(String.init)
    let stop = ["--stop", "ro", "--stop", " b"]
    let lines = try world.sample(prompt + ["--count", "30"] + stop)
      .split(separator: "\n").map(String.init)
    let objects = try world.objects(prompt + ["--count", "30"] + stop)
    var stopped = 0
    for (number, (whole, line)) in zip(free, lines).enumerated() {
      let rest = whole.dropFirst("a birch".count)
      let ends = ["ro", " b"].compactMap { rest.range(of: $0)?.lowerBound }
      #expect(line == "a birch" + rest[..<(ends.min() ?? rest.endIndex)])
      let end = objects[number]["end"] as? String
      #expect((end == "stop") == !ends.isEmpty)
      #expect("a birch" + (objects[number]["continuation"] as? String ?? "") == line)
      if !ends.isEmpty { stopped += 1 }
    }
    #expect(stopped > 3 && stopped < 30)
    // Streamed, nothing of the text is seen.
    for seed in 1...6 {
      let arguments = prompt + stop + ["--seed", "\(seed)"]
      #expect(try world.sample(arguments) == world.sample(arguments + ["--stream"]), "\(seed)")
    }
  }

  @Test func penaltiesChangeWhatIsRepeated() throws {
    let world = try World()
    let greedy = ["--prompt", "a birch", "--temperature", "0"]
    let free = try world.sample(greedy)
    #expect(try world.sample(greedy + ["--repetition-penalty", "1"]) == free)
    #expect(try world.sample(greedy + ["--repetition-penalty", "5"]) != free)
  }

  @Test func whatDoesNotGoTogetherIsRefused() throws {
    for (arguments, sentence) in [
      (["--stop", ""], "--stop is empty"), (["--logprobs"], "--logprobs is a part of --json"),
      (["--json", "--stream"], "give --json or --stream, not both"),
      (["--repetition-penalty", "0"], "--repetition-penalty is 0.0, expected a number from 0.01"),
      (["--repetition-penalty", "-2"], "--repetition-penalty is -2.0, expected"),
    ] {
      let outcome = try runProgram("lm-sample", ["--checkpoint", "x"] + arguments)
      #expect(outcome.status == 2 && outcome.output.isEmpty, "\(arguments): \(outcome)")
      #expect(outcome.errors.contains(sentence), "\(arguments): \(outcome.errors)")
    }
  }

  @Test func namesAndFoldersAreCompleted() throws {
    for (name, words) in [
      ("lm-train", ["quickstart", "hierarchical", "warmupStableDecay", "muon", "relativeBias"]),
      ("lm-eval", ["heldout", "jsonl", "kenlm"]), ("lm-tokenize", ["unigram"]),
      ("lm-sample", ["auto"]),
    ] {
      let outcome = try runProgram(name, ["--generate-completion-script", "bash"])
      #expect(outcome.status == 0)
      for word in words { #expect(outcome.output.contains(word), "\(name) \(word)") }
      // Folders: what is asked of bash for them.
      #expect(outcome.output.contains("_add_completions -d\n"), "\(name)")
    }
  }
}
