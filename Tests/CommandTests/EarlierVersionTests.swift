import CommandSupport
import Foundation
import LMData
import Storage
import TestSupport
import Testing

/// Files and options of versions that called tokens pieces.
@Suite(.serialized) struct EarlierVersionTests {
  private static let model = [
    "--layers", "1", "--width", "16", "--heads", "2", "--hidden", "32", "--steps", "6",
    "--checkpoint-every", "3", "--log-every", "1", "--warmup", "1",
  ]

  private static func succeed(_ name: String, _ arguments: [String]) throws -> ProgramOutcome {
    let outcome = try runProgram(name, arguments)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome
  }

  private static func makeData(_ folder: TemporaryFolder) throws -> String {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
    let lines: [String] = (0..<400).map { (line: Int) -> String in
      (0..<(3 + line % 9)).map { words[(line * 7919 + $0 * (line + 3)) % 10] }
        .joined(separator: " ")
    }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text.txt")
    let data = folder.path + "/data"
    _ = try succeed(
      "lm-tokenize",
      [
        "--train", text, "--split-valid", "0.1", "--split-test", "0.1", "--vocab-size", "280",
        "--output", data,
      ])
    return data
  }

  // MARK: Files

  private static let keys = [
    "batchTokens": "batchPieces", "isOneToken": "isOnePiece",
    "microBatchTokens": "microBatchPieces", "natsPerToken": "natsPerPiece", "tokens": "pieces",
    "tokensCounted": "piecesCounted", "tokensPerSecond": "piecesPerSecond",
  ]

  /// Gives the files of a folder the keys and sums that an earlier version would have written.
  private static func age(_ folder: String) throws {
    for name in try Files.entries(of: folder).sorted() {
      let path = folder + "/" + name
      guard !Files.isDirectory(path) else {
        try age(path)
        continue
      }
      guard name.hasSuffix(".json") || name.hasSuffix(".jsonl") else { continue }
      var text = String(decoding: try Files.contents(of: path), as: UTF8.self)
      for (today, earlier) in keys {
        text = text.replacing("\"\(today)\"", with: "\"\(earlier)\"")
      }
      text = text.replacing("\"formatVersion\" : 2", with: "\"formatVersion\" : 1")
      var bytes = Array(text.utf8)
      if name.hasSuffix(".jsonl") {
        bytes = text.split(separator: "\n").flatMap { line -> [UInt8] in
          let object = line.replacing(/,"sum":"[0-9a-f]*"}$/, with: "}")
          return SummedLine.adding(to: Array(object.utf8)) + [0x0A]
        }
      }
      try Data(bytes).write(to: URL(fileURLWithPath: path))
    }
    let path = folder + "/" + SumsFile.name
    guard Files.exists(path) else { return }
    let lines = try #require(SumsFile.parse(try Files.contents(of: path))).map {
      SumsFile.Line(digest: try SHA256.hexDigest(ofFile: folder + "/" + $0.name), name: $0.name)
    }
    try Data(SumsFile.encode(lines)).write(to: URL(fileURLWithPath: path))
  }

  private static func copy(_ path: String, to other: String) throws -> String {
    try FileManager.default.copyItem(atPath: path, toPath: other)
    return other
  }

  @Test func earlierDataSetsHoldTheSame() throws {
    let folder = try TemporaryFolder()
    let data = try Self.makeData(folder)
    let old = try Self.copy(data, to: folder.path + "/old")
    try Self.age(old)
    let manifest = try Files.contents(of: old + "/manifest.json")
    #expect(String(decoding: manifest, as: UTF8.self).contains("\"pieces\" :"))
    _ = try Self.succeed("lm-tokenize", ["--verify", old])
    let (today, earlier) = (try DataSet(directory: data), try DataSet(directory: old))
    #expect(earlier.fingerprint == SHA256.hexDigest(of: manifest))
    #expect(earlier.manifest.splits == today.manifest.splits)
    #expect(today.manifest.totals(of: "train").tokens > 0)
    #expect((earlier.manifest.formatVersion, today.manifest.formatVersion) == (1, 2))
    // A name that a user has chosen is no key.
    let named = try Files.contents(of: data + "/manifest.json")
    let text = String(decoding: named, as: UTF8.self)
      .replacing("\"valid\" :", with: "\"pieces\" :")
    let read = try JSONFile.decode(Manifest.self, from: Array(text.utf8), path: "manifest")
    #expect(read.splits["pieces"] == today.manifest.splits["valid"])
  }

  @Test func earlierRunsGoOn() throws {
    let folder = try TemporaryFolder()
    let data = try Self.makeData(folder)
    try Self.age(data)
    let run = folder.path + "/run"
    _ = try Self.succeed(
      "lm-train",
      ["--data", data, "--output", run, "--batch-tokens", "200", "--micro-batch-tokens", "90"]
        + Self.model)
    _ = try Self.succeed(
      "lm-eval", ["perplexity", "--checkpoint", run, "--data", data, "--record"])

    // Killed after step 3, and the program replaced.
    let old = try Self.copy(run, to: folder.path + "/old")
    try Files.remove(old + "/step-00000006")
    try Data("step-00000003\n".utf8).write(to: URL(fileURLWithPath: old + "/latest"))
    try Self.age(old)
    #expect(
      String(decoding: try Files.contents(of: old + "/step-00000003/state.json"), as: UTF8.self)
        .contains("\"microBatchPieces\" : 90"))
    #expect(try Self.succeed("lm-eval", ["verify", old]).output.contains("all sums hold"))
    let first = "/step-00000003"
    for arguments in [["perplexity", "--json"], ["score"], ["audit", "--json"]] {
      let source = ["--data", data, "--split", "test"]
      let outcomes = try [run, old].map {
        try Self.succeed("lm-eval", arguments + ["--checkpoint", $0 + first] + source).output
      }
      #expect(!outcomes[0].isEmpty)
      #expect(outcomes[1].replacing(old, with: run) == outcomes[0], "\(arguments)")
    }
    _ = try Self.succeed("lm-eval", ["report", old])
    let page = String(decoding: try Files.contents(of: old + "/report.html"), as: UTF8.self)
    #expect(page.contains("nats per token") && page.contains("batchTokens"))
    let plan = try Self.succeed(
      "lm-train", ["--data", data, "--config", old + "/config.json", "--dry-run"])
    #expect(plan.output.contains("200 tokens"), "\(plan.output)")

    _ = try Self.succeed("lm-train", ["--data", data, "--output", old, "--resume"])
    for name in ["model.safetensors", "optimizer.safetensors", "state.json"] {
      let contents = try [run, old].map { try Files.contents(of: "\($0)/step-00000006/\(name)") }
      if name == "state.json" {
        let text = String(decoding: contents[1], as: UTF8.self)
        #expect(text.contains("\"formatVersion\" : 2") && !text.contains("ieces"))
      } else {
        #expect(contents[0] == contents[1], "\(name)")
      }
    }
    #expect(try Self.succeed("lm-eval", ["verify", old]).output.contains("all sums hold"))
    let figures = try [run, old].map { run in
      String(decoding: try Files.contents(of: run + "/metrics.jsonl"), as: UTF8.self)
        .split(separator: "\n").map { line in
          line.replacing("Piece", with: "Token").replacing("pieces", with: "tokens")
            .replacing(/"(tokensPerSecond|peakFraction|trainedSeconds|sum)":[^,}]*,?/, with: "")
        }
    }
    // The order of keys is that of their names.
    #expect(
      figures[0].map { Set($0.split(separator: /[{},]/)) }
        == figures[1].map { Set($0.split(separator: /[{},]/)) })
    let lines = String(decoding: try Files.contents(of: old + "/metrics.jsonl"), as: UTF8.self)
    #expect(lines.contains("natsPerPiece") && lines.contains("natsPerToken"))
    // The record of the earlier version is replaced.
    _ = try Self.succeed(
      "lm-eval", ["perplexity", "--checkpoint", old, "--data", data, "--record"])
    let records = String(
      decoding: try Files.contents(of: old + "/evaluations.jsonl"), as: UTF8.self)
    #expect(records.split(separator: "\n").count == 1 && records.contains("\"tokens\":"))
    _ = try Self.succeed("lm-eval", ["report", old])
  }

  // MARK: Options

  @Test func earlierOptionsGoOnWorking() throws {
    let folder = try TemporaryFolder()
    let data = try Self.makeData(folder)
    let runs = try [("tokens", "first"), ("pieces", "second")].map { word, name in
      let run = folder.path + "/" + name
      let outcome = try Self.succeed(
        "lm-train",
        ["--data", data, "--output", run, "--batch-\(word)=200", "--micro-batch-\(word)", "90"]
          + Self.model)
      #expect(!outcome.errors.contains("piece"), "\(outcome.errors)")
      return run
    }
    #expect(
      try Files.contents(of: runs[0] + "/step-00000006/model.safetensors")
        == Files.contents(of: runs[1] + "/step-00000006/model.safetensors"))
    #expect(
      try Files.contents(of: runs[0] + "/config.json")
        == Files.contents(of: runs[1] + "/config.json"))
    let source = ["--checkpoint", runs[0], "--data", data]
    for (name, today, earlier) in [
      (
        "lm-eval", ["score"] + source + ["--per-token", "--batch-tokens", "64"],
        ["score"] + source + ["--per-piece", "--batch-pieces", "64"]
      ),
      (
        "lm-eval", source + ["--score", "-", "--per-token"],
        source + ["--score", "-", "--per-piece"]
      ),
      (
        "lm-sample", ["--checkpoint", runs[0], "--prompt", "ash", "--max-tokens", "5"],
        ["--checkpoint", runs[0], "--prompt", "ash", "--max-pieces", "5"]
      ),
    ] {
      let expected = try Self.succeed(name, today)
      #expect(try Self.succeed(name, earlier).output == expected.output, "\(earlier)")
    }
  }

  @Test func messagesNameTheOptionsOfToday() throws {
    for (name, arguments, sentence) in [
      ("lm-train", ["--data", "x", "--output", "y", "--batch-pieces", "0"], "--batch-tokens is 0"),
      (
        "lm-train", ["--data", "x", "--output", "y", "--batch-pieces", "-1"], "--batch-tokens is -1"
      ),
      (
        "lm-train", ["--data", "x", "--output", "y", "--micro-batch-pieces=0"],
        "--micro-batch-tokens is 0"
      ),
      (
        "lm-train", ["--data", "x", "--output", "y", "--batch-peices", "9"],
        "Did you mean '--batch-tokens'?"
      ),
      (
        "lm-train", ["--data", "x", "--output", "y", "--batch-tokans", "9"],
        "Did you mean '--batch-tokens'?"
      ),
      ("lm-sample", ["--checkpoint", "x", "--max-pieces", "0"], "--max-tokens is 0"),
      ("lm-sample", ["--checkpoint", "x", "--max-peices", "9"], "Did you mean '--max-tokens'?"),
      ("lm-eval", ["--checkpoint", "x", "--text", "y", "--per-piece"], "--per-token"),
      (
        "lm-eval", ["perplexity", "--checkpoint", "x", "--text", "y", "--per-piece"],
        "lm-eval score has it"
      ),
      ("lm-tokenize", ["--train", "x", "--output", "y", "--max-pieces", "9"], "'--max-tokens'"),
    ] {
      let outcome = try runProgram(name, arguments)
      #expect(outcome.status == 2 && outcome.errors.contains(sentence), "\(arguments): \(outcome)")
      #expect(!outcome.errors.contains("piece"), "\(arguments): \(outcome.errors)")
    }
    for (name, subcommands) in [
      ("lm-train", [[]]), ("lm-sample", [[]]),
      ("lm-eval", [[], ["perplexity"], ["compare"], ["score"], ["audit"]]),
    ] {
      for subcommand in subcommands {
        let help = try Self.succeed(name, subcommand + ["--help"]).output
        #expect(!help.contains("piece"), "\(name) \(subcommand)")
      }
      for option in ["--generate-manual", "--generate-completion-script=bash"] {
        #expect(try !Self.succeed(name, [option]).output.contains("piece"), "\(name) \(option)")
      }
    }
    // What is no option is no name of one.
    #expect(
      EarlierOptions.renamed(in: ["--per-piece", "--text=--per-piece", "--", "--per-piece"])
        == ["--per-token", "--text=--per-piece", "--", "--per-piece"])
  }
}
