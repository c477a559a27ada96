import CommandSupport
import Foundation
import Machine
import TestSupport
import Testing

/// What is typed wrongly, and what is printed to be typed.
@Suite(.serialized) struct UsageTests {
  private static let model = [
    "--layers", "1", "--width", "16", "--heads", "2", "--hidden", "32", "--batch-tokens", "100",
    "--warmup", "1", "--log-every", "1",
  ]

  private static func data(_ folder: TemporaryFolder, _ name: String, _ options: [String] = [])
    throws -> String
  {
    let words = ["ash", "oak", "elm", "fir", "yew", "a tree", "the wood"]
    let text = (0..<200).map { "\(words[$0 % 7]) is near \(words[$0 * 3 % 7]) ." }
    let path = try folder.write(text.joined(separator: "\n") + "\n", to: "text.txt")
    let data = folder.path + "/" + name
    let made = try runProgram(
      "lm-tokenize",
      ["--train", path, "--vocab-size", "278", "--output", data] + options)
    try #require(made.status == 0, "\(made.errors)")
    return data
  }

  @Test func slipsAreToldAsSlips() throws {
    for (name, arguments, meant) in [
      ("lm-train", ["--dta", "x", "--output", "y"], "--data"),
      ("lm-train", ["--data", "x", "--ouptut=y"], "--output"),
      ("lm-eval", ["--chekpoint", "x", "--data", "y"], "--checkpoint"),
      ("lm-sample", ["--checkpont", "x"], "--checkpoint"),
      ("lm-tokenize", ["--train", "x", "--outptu", "y"], "--output"),
      ("lm-bench", ["tokenize", "--modle", "x", "--text", "y"], "--model"),
      ("lm-train", ["--data", "x", "--output", "y", "--step", "5"], "--steps"),
    ] {
      let outcome = try runProgram(name, arguments)
      #expect(outcome.status == 2, "\(name) \(arguments)")
      #expect(outcome.errors.contains("Did you mean '\(meant)'"), "\(outcome.errors)")
    }
    // What is missing, and nothing else.
    let missing = try runProgram("lm-train", ["--output", "y"])
    #expect(missing.status == 2 && missing.errors.contains("--data"))
    #expect(!missing.errors.contains("Unknown option"))
    #expect(Arguments.distance("--data", "--dta") == 1)
    #expect(Arguments.distance("ab", "ba") == 1 && Arguments.distance("", "abc") == 3)
  }

  @Test func valuesThatCannotBeAreNamedByTheirOption() throws {
    for (option, value) in [
      ("--steps", "-5"), ("--steps", "0"), ("--batch-tokens", "0"), ("--batch-tokens", "-1"),
      ("--micro-batch-tokens", "0"), ("--stream-length", "1"), ("--stream-length", "-3"),
      ("--warmup", "-1"), ("--rate", "-0.1"), ("--rate", "nan"), ("--dropout", "1"),
      ("--layers", "0"), ("--log-every", "0"), ("--keep-last", "0"), ("--preset", "huge"),
      ("--schedule", "never"), ("--threads", "0"), ("--threads", "1025"), ("--threads", "-2"),
      ("--attention", "none"), ("--optimizer", "none"), ("--seed", "x"),
      ("--softmax-candidates", "-1"), ("--full-softmax-share", "1.5"), ("--embedding-rate", "0.0"),
      ("--matrix-rate", "-1.0"), ("--ngram-rate", "0.0"), ("--bigram-rows", "-1"),
      ("--trigram-rows", "1000000000"), ("--muon-form", "none"), ("--cutoffs", "9,8"),
      ("--cutoffs", "0"), ("--cluster-factor", "0"), ("--rate", "1e+39"),
      ("--ngram-rate", "1e+38"), ("--embedding-rate", "1000001.0"), ("--matrix-rate", "1e-40"),
      ("--weight-decay", "1e+300"),
    ] {
      let outcome = try runProgram("lm-train", ["--data", "x", "--output", "y", option, value])
      #expect(outcome.status == 2, "\(option) \(value): \(outcome)")
      #expect(outcome.errors.contains(option), "\(option) \(value): \(outcome.errors)")
      #expect(outcome.errors.contains(value), "\(option) \(value): \(outcome.errors)")
    }
  }

  /// Options of the recipe that do not go together, and what a plan says of those that do.
  @Test func recipesThatCannotBeAreOneSentence() throws {
    let plan = ["--assume-1bw", "--dry-run", "--preset", "quickstart", "--threads", "1"]
    for (options, word) in [
      (["--full-softmax-share", "0.5"], "--softmax-candidates"),
      (["--softmax-candidates", "4000"], "fewer than the 4000 tokens"),
      (["--muon-form", "gram"], "optimizer muon"), (["--ngram-rate", "0.1"], "bigram_rows"),
      (["--qk-norm", "--attention", "yoso"], "leave out --qk-norm"),
      (["--cluster-factor", "2"], "--cutoffs"), (["--cutoffs", "4000"], "adaptive_cutoffs"),
      (["--cutoffs", "500", "--softmax-candidates", "100"], "leave out --softmax-candidates"),
      (["--cutoffs", "500", "--full-softmax-share", "0.5"], "leave out --full-softmax-share"),
      (["--muon-form", "gram"], "leave out --muon-form"),
      (["--ngram-rate", "0.1"], "leave out --ngram-rate"),
      (["--betas", "0.9,0.99999999999"], "beta2 is 0.99999999999"),
      (["--epochs", "1e300"], "--epochs 1e+300 are more steps than the 4,294,967,296"),
      (["--softmax-candidates", "1"], "the candidates of the loss are 1, expected 2 or more"),
      (["--vocab-size", "1"], "vocab_size is 1, expected more than the special id"),
    ] {
      let outcome = try runProgram("lm-train", plan + options)
      #expect(outcome.status == 1, "\(options): \(outcome)")
      #expect(outcome.errors.contains(word), "\(options): \(outcome.errors)")
      #expect(outcome.errors.split(separator: "\n").count == 1, "\(outcome.errors)")
    }
    func work(_ options: [String]) throws -> String {
      let outcome = try runProgram("lm-train", plan + options)
      try #require(outcome.status == 0, "\(outcome.errors)")
      return outcome.output
    }
    let plain = try work([])
    let all = try work([
      "--softmax-candidates", "1000", "--optimizer", "muon", "--muon-form", "gram", "--qk-norm",
      "--zero-init-residual", "--bigram-rows", "1000", "--trigram-rows", "2000",
      "--embedding-rate", "0.01", "--matrix-rate", "0.02",
    ])
    for word in [
      "muon in gram form", "of embeddings 0.01", "of matrices 0.02",
      "softmax over 1,000 tokens until the last 15 %", "queries and keys normalised",
      "1,000 rows of pairs", "2,000 rows of triples", "begin as zeros",
    ] {
      #expect(all.contains(word) && !plain.contains(word), "\(word): \(all)")
    }
    #expect(
      try work(["--cutoffs", "500,2000"]).contains(
        "head tied in clusters of 500 of 192, 1,500 of 48, 2,000 of 12"))
  }

  @Test func aBatchIsOfOneKind() throws {
    for (options, meant) in [
      (["--batch", "2", "--sentences"], "give --batch or --sentences"),
      (["--batch", "2", "--decode"], "--decode is about one sequence"),
      (["--batch", "0"], "--batch is 0, expected 1 or more"),
    ] {
      let outcome = try runProgram("lm-bench", ["attention", "--lengths", "8"] + options)
      #expect(outcome.status == 2 && outcome.errors.contains(meant), "\(outcome)")
    }
    let none = try runProgram("lm-bench", ["attention", "--precision", "bfloat16"])
    #expect(none.status == 1 && none.errors.contains("bfloat16"), "\(none)")
  }

  /// Precisions are known by the names that others have for them; a processor that gains nothing says so.
  @Test func precisionsHaveSeveralNames() throws {
    let plan = "lm-train --assume-1bw --preset quickstart --threads 1 --dry-run"
    let shown = try runProgram("", [], shell: "LM_SIMD=avx2 \(plan) --precision bf16")
    #expect(shown.status == 0 && shown.output.contains("products in bfloat16"), "\(shown)")
    #expect(shown.errors.contains("note: this processor has no instructions"), "\(shown.errors)")
    let plain = try runProgram("", [], shell: "\(plan) --precision fp32")
    #expect(plain.status == 0 && !plain.output.contains("products in"), "\(plain)")
    let none = try runProgram("", [], shell: "\(plan) --precision fp16")
    #expect(none.status == 2 && none.errors.contains("'float32' and 'bfloat16'"), "\(none)")
  }

  @Test func threadsAreTheSameEverywhere() throws {
    for (name, arguments) in [
      ("lm-train", ["--data", "x", "--output", "y"]), ("lm-eval", ["--verify", "x"]),
      ("lm-eval", ["--checkpoint", "x", "--data", "y"]), ("lm-sample", ["--checkpoint", "x"]),
      ("lm-tokenize", ["--train", "x", "--output", "y"]), ("lm-tokenize", ["--verify", "x"]),
      ("lm-bench", ["check"]), ("lm-bench", ["train"]),
    ] {
      for threads in ["0", "-1", "1025", "100000"] {
        let outcome = try runProgram(name, arguments + ["--threads", threads])
        #expect(outcome.status == 2, "\(name) \(arguments) \(threads): \(outcome)")
        #expect(outcome.errors.contains("--threads is \(threads)"), "\(outcome.errors)")
      }
    }
    let plan = ["--assume-1bw", "--dry-run"]
    let allowed = Processors.allowed
    #expect(try runProgram("lm-train", plan + ["--threads", "\(allowed)"]).errors == "")
    let more = try runProgram("lm-train", plan + ["--threads", "\(allowed + 1)"])
    #expect(more.status == 0 && more.errors.contains("--threads \(allowed + 1)"), "\(more.errors)")
    // One core means one thread.
    let taskset = "/usr/bin/taskset"
    guard FileManager.default.isExecutableFile(atPath: taskset) else { return }
    let bound = try runProgram("lm-train", plan, redirections: "", before: "\(taskset) -c 0")
    #expect(bound.output.contains("on 1 thread;"), "\(bound)")
  }

  /// `news` is what won the race: the entry of the table and the preset are one run.
  @Test func theWinnerOfTheRaceIsThePreset() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent()
    let table = try String(
      contentsOf: root.appendingPathComponent("scripts/race-entries.tsv"), encoding: .utf8)
    let line = try #require(table.split(separator: "\n").first { $0.hasPrefix("stack-ngrams\t") })
    let options = line.split(separator: "\t")[4].split(separator: " ").map(String.init)
    func plan(_ arguments: [String]) throws -> [Substring] {
      let outcome = try runProgram(
        "lm-train",
        ["--assume-1bw", "--dry-run", "--vocab-size", "8000", "--threads", "1"] + arguments)
      try #require(outcome.status == 0 && outcome.errors == "", "\(outcome.errors)")
      // What is measured differs from one run to the next.
      return outcome.output.split(separator: "\n").filter {
        line in !["preset", "memory", "machine"].contains { line.hasPrefix($0) }
      }
    }
    let preset = try plan(["--preset", "news", "--steps", "100"])
    #expect(preset == (try plan(["--preset", "news-plain", "--steps", "100"] + options)))
    #expect(preset.contains { $0.contains("softmax over 2,048 tokens") }, "\(preset)")
  }

  /// A preset gives way to what it cannot have, and says so; what was asked for by name is refused.
  @Test func aPresetGivesWayToWhatIsChosen() throws {
    let plan = ["--assume-1bw", "--dry-run", "--preset", "news", "--threads", "1"]
    for (options, words) in [
      (["--attention", "hierarchical"], []), (["--attention", "combiner"], []),
      (["--attention", "yoso"], ["YOSO looks at their directions alone"]),
      (["--cutoffs", "2000"], ["clusters save that work"]),
      (["--attention", "yoso", "--cutoffs", "2000"], ["YOSO", "clusters"]),
      (["--optimizer", "adamW"], ["nothing is in Gram form"]),
      (["--vocab-size", "4096"], ["so small a vocabulary"]),
      (["--vocab-size", "4096", "--softmax-candidates", "2048"], []),
      (["--vocab-size", "4097"], []),
    ] {
      let outcome = try runProgram("lm-train", plan + options)
      #expect(outcome.status == 0, "\(options): \(outcome.errors)")
      let lines = outcome.errors.split(separator: "\n")
      #expect(lines.count == words.count, "\(options): \(lines)")
      for (line, word) in zip(lines, words) {
        #expect(line.hasPrefix("lm-train: note: of preset news, ") && line.contains(word))
      }
    }
    for options in [
      ["--attention", "yoso", "--qk-norm"], ["--cutoffs", "2000", "--softmax-candidates", "500"],
      ["--optimizer", "adamW", "--muon-form", "gram"], ["--ema", "0.99"],
    ] {
      let outcome = try runProgram("lm-train", plan + options)
      #expect(outcome.status == 1, "\(options): \(outcome)")
      #expect(outcome.errors.contains("leave out") || outcome.errors.contains("goes with"))
    }
  }

  /// Copies the hint of a run into a shell.
  private static func follow(_ outcome: ProgramOutcome, _ start: String) throws -> ProgramOutcome {
    let line = try #require(
      outcome.errors.split(separator: "\n").last { $0.contains(start) }, "\(outcome.errors)")
    let command = try #require(line.range(of: start)).upperBound
    return try runProgram("", [], shell: String(line[command...]))
  }

  @Test func hintsRunAsTheyArePrinted() throws {
    let folder = try TemporaryFolder()
    for (index, options) in [
      [], ["--split-valid", "0.1"], ["--split-valid", "0.1", "--split-test", "0.1"],
    ].enumerated() {
      let data = try Self.data(folder, "it's data \(index)", options)
      for stream in [nil, "24"] {
        let run = folder.path + "/a run & $HOME \(index) \(stream ?? "")"
        let trained = try runProgram(
          "lm-train",
          ["--data", data, "--output", run, "--steps", "3"] + Self.model
            + (stream.map { ["--stream-length", $0] } ?? []))
        try #require(trained.status == 0, "\(trained.errors)")
        let measured = try Self.follow(trained, "next: ")
        #expect(measured.status == 0, "\(measured.errors)")
        let split = ["train", "valid", "test"][index]
        #expect(measured.output.contains("split \(split) of"), "\(measured.output)")
        #expect(measured.output.contains("windows of 24") == (stream != nil), "\(measured.output)")
      }
    }
  }

  @Test func aRunKnowsItsData() throws {
    let folder = try TemporaryFolder()
    let data = try Self.data(folder, "data")
    let run = folder.path + "/run"
    let stopped = try runProgram(
      "lm-train", ["--data", data, "--output", run, "--steps", "2000"] + Self.model,
      signal: (SIGTERM, after: "step 3/"))
    #expect(stopped.status == 128 + SIGTERM, "\(stopped.errors)")
    let resumed = try runProgram(
      "lm-train", ["--output", run, "--resume"], signal: (SIGTERM, after: "resumed after"))
    #expect([0, 128 + SIGTERM].contains(resumed.status), "\(resumed.errors)")

    // Both moved together, and then the data alone.
    let manager = FileManager.default
    let moved = folder.path + "/moved"
    try manager.createDirectory(atPath: moved, withIntermediateDirectories: false)
    for name in ["data", "run"] {
      try manager.moveItem(atPath: folder.path + "/" + name, toPath: moved + "/" + name)
    }
    let there = moved + "/run"
    let again = try runProgram(
      "lm-train", ["--output", there, "--resume"], signal: (SIGTERM, after: "resumed after"))
    #expect([0, 128 + SIGTERM].contains(again.status), "\(again.errors)")
    try manager.moveItem(atPath: moved + "/data", toPath: folder.path + "/elsewhere")
    let lost = try runProgram("lm-train", ["--output", there, "--resume"])
    #expect(lost.status == 1 && lost.errors.contains("--data"), "\(lost.errors)")
    // Other shards in their place are not taken for them.
    _ = try Self.data(folder, "moved/data", ["--split-valid", "0.2"])
    let others = try runProgram("lm-train", ["--output", there, "--resume"])
    #expect(others.status == 1 && others.errors.contains("--data"), "\(others.errors)")
    let told = try runProgram(
      "lm-train", ["--output", there, "--data", folder.path + "/elsewhere", "--resume"],
      signal: (SIGTERM, after: "resumed after"))
    #expect([0, 128 + SIGTERM].contains(told.status), "\(told.errors)")

    // Another run is refused in the words of the options.
    for (option, value) in [
      ("--attention", "yoso"), ("--layers", "2"), ("--rate", "0.5"), ("--seed", "9"),
      ("--batch-tokens", "64"), ("--schedule", "cosine"), ("--stream-length", "16"),
    ] {
      let other = try runProgram(
        "lm-train",
        ["--output", there, "--data", folder.path + "/elsewhere", "--resume", option, value])
      #expect(other.status == 1, "\(option): \(other.errors)")
      #expect(other.errors.contains("\(option) \(value)"), "\(option): \(other.errors)")
    }
  }

  @Test func wordsForAShellAreReadBack() throws {
    let words = [
      "a b", "it's", "$HOME", "*", "", "plain-1/x.y", "\"q\"", "~", "a\nb", "é", "back\\slash",
    ]
    let echoed = try runProgram("", [], shell: "printf '%s\\0' " + Arguments.line(words))
    #expect(echoed.output == words.map { $0 + "\0" }.joined())
    #expect(Arguments.line(["lm-eval", "--split", "a/b-1.c"]) == "lm-eval --split a/b-1.c")
    #expect(
      Arguments.joiningNegativeNumbers(["--a", "-5", "-5", "--b=1", "-2", "--", "--c", "-1"])
        == ["--a=-5", "-5", "--b=1", "-2", "--", "--c", "-1"])
  }
}
