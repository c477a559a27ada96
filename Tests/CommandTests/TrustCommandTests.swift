import Foundation
import TestSupport
import Testing

/// `--audit` and `--verify`, as a user runs them.
@Suite(.serialized) struct TrustCommandTests {
  private static func trained(_ folder: TemporaryFolder) throws -> (data: String, run: String) {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
    let lines: [String] = (0..<400).map { (line: Int) -> String in
      let chosen: [Int] = (0..<(3 + line % 9)).map { (place: Int) -> Int in
        (line * 7919 + place * (line + 3)) % 10
      }
      return chosen.map { words[$0] }.joined(separator: " ")
    }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text.txt")
    let (data, run) = (folder.path + "/data", folder.path + "/run")
    let made = try runProgram(
      "lm-tokenize",
      [
        "--train", text, "--split-test", "0.2", "--vocab-size", "280", "--model-type", "bpe",
        "--output", data,
      ])
    try #require(made.status == 0, "\(made.errors)")
    let trained = try runProgram(
      "lm-train",
      [
        "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
        "--hidden", "32", "--steps", "6", "--batch-tokens", "200", "--checkpoint-every", "3",
      ])
    try #require(trained.status == 0, "\(trained.errors)")
    return (data, run)
  }

  private static func flip(_ path: String, _ position: Int) throws {
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    bytes[bytes.count * position / 8] ^= 0x40
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  @Test func auditAndVerify() throws {
    let folder = try TemporaryFolder()
    let (data, run) = try Self.trained(folder)
    for source in [
      [], ["--data", data], ["--text", folder.path + "/text.txt", "--audit-sentences", "9"],
    ] {
      let audit = try runProgram("lm-eval", ["--audit", "--checkpoint", run] + source)
      #expect(audit.status == 0, "\(audit.errors)")
      #expect(audit.output.contains("all later tokens  passed"), "\(audit.output)")
      #expect(audit.output.contains("\npassed: no way was found"))
      #expect(!audit.output.contains("FAILED"))
    }
    // Texts that a person may give by mistake; a line as long as a file is cut, and that is said.
    let blank = try folder.write("\n\n", to: "blank.txt")
    let invalid = try folder.write([0x61, 0x0A, 0xFF, 0x0A], to: "invalid.txt")
    let empty = try folder.write("", to: "empty.txt")
    for (text, words) in [
      (blank, "nothing but empty sentences"), (invalid, "line 2: not valid UTF-8"),
      (empty, "empty.txt is empty"), (folder.path + "/none", "No such file"),
    ] {
      let outcome = try runProgram("lm-eval", ["--audit", "--checkpoint", run, "--text", text])
      #expect(outcome.status == 1 && outcome.output.isEmpty, "\(text): \(outcome.output)")
      #expect(outcome.errors.contains(words), "\(text): \(outcome.errors)")
    }
    let long = try folder.write(String(repeating: "oak", count: 3_000), to: "long.txt")
    let cut = try runProgram("lm-eval", ["--audit", "--checkpoint", run, "--text", long])
    #expect(cut.status == 0 && cut.output.contains("1 cut after 2,048"), "\(cut.output)")
    let json = try runProgram("lm-eval", ["--audit", "--checkpoint", run, "--json"])
    let reports = try #require(
      JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [[String: Any]])
    #expect((reports[0]["checks"] as? [[String: Any]])?.count == 9)

    #expect(try runProgram("lm-tokenize", ["--verify", data]).status == 0)
    let good = try runProgram("lm-eval", ["--verify", run])
    #expect(good.status == 0 && good.output.contains("all sums hold"), "\(good.errors)")

    let weights = run + "/step-00000003/model.safetensors"
    try Self.flip(weights, 5)
    let bad = try runProgram("lm-eval", ["--verify", run])
    #expect(bad.status == 1)
    #expect(bad.output.contains("DAMAGED \(run)/step-00000003: \(weights)"), "\(bad.output)")
    #expect(bad.output.contains("good    \(run)/step-00000006"))
    // Samples begin before the weights are read whole; the damage is told all the same.
    let samples = try runProgram(
      "lm-sample", ["--checkpoint", run + "/step-00000003", "--prompt", "ash"])
    #expect(samples.status == 1 && samples.errors.contains(weights), "\(samples.errors)")
    // Scores are computed meanwhile, and none is printed.
    let scores = try runProgram(
      "lm-eval", ["--checkpoint", run + "/step-00000003", "--data", data])
    #expect(scores.status == 1 && scores.output.isEmpty, "\(scores.output)")
    #expect(scores.errors.contains(weights), "\(scores.errors)")
    // Of a run the newest good one is scored, and what was passed over is said.
    let newest = run + "/step-00000006/model.safetensors"
    try Self.flip(weights, 5)
    let expected = try runProgram(
      "lm-eval", ["--checkpoint", run + "/step-00000003", "--data", data, "--json"])
    try Self.flip(newest, 5)
    let passed = try runProgram("lm-eval", ["--checkpoint", run, "--data", data, "--json"])
    #expect(passed.status == 0 && passed.output == expected.output && !passed.output.isEmpty)
    #expect(passed.errors.contains(newest), "\(passed.errors)")

    let shard = data + "/train-00000.zst"
    try Self.flip(shard, 4)
    let broken = try runProgram("lm-tokenize", ["--verify", data])
    #expect(broken.status == 1 && broken.errors.contains(shard), "\(broken.errors)")
  }

  /// A short form of `scripts/crash-test.sh`, at moments that are known.
  @Test func killedRunsEndAlike() throws {
    let folder = try TemporaryFolder()
    let (data, _) = try Self.trained(folder)
    let options = [
      "--layers", "1", "--width", "16", "--heads", "2", "--hidden", "32", "--steps", "400",
      "--batch-tokens", "100", "--checkpoint-every", "10", "--log-every", "2", "--dropout", "0.1",
    ]
    let whole = folder.path + "/whole"
    let made = try runProgram("lm-train", ["--data", data, "--output", whole] + options)
    #expect(made.status == 0, "\(made.errors)")
    let parts = folder.path + "/parts"
    for (index, moment) in ["step 6/", "step 34/", "step-00000060", "step 100/"].enumerated() {
      let arguments = ["--data", data, "--output", parts] + (index == 0 ? options : ["--resume"])
      let outcome = try runProgram("lm-train", arguments, signal: (SIGKILL, after: moment))
      #expect(outcome.status == SIGKILL, "\(moment): \(outcome.errors)")
    }
    let last = try runProgram("lm-train", ["--data", data, "--output", parts, "--resume"])
    #expect(last.status == 0, "\(last.errors)")
    let files = try ["whole", "parts"].map { try folder.contents(of: $0 + "/step-00000400") }
    for file in ["model.safetensors", "optimizer.safetensors", "config.json"] {
      #expect(files[0][file] != nil && files[0][file] == files[1][file], "\(file)")
    }
    #expect(try runProgram("lm-eval", ["--verify", parts]).status == 0)
  }

  /// A quota is met in the middle of a checkpoint: one sentence, and the run goes on later.
  ///
  /// Not under the thread sanitizer, whose own memory is a file that the quota holds for.
  @Test(.enabled(if: ProcessInfo.processInfo.environment["SANITIZED"] != "thread"))
  func aQuotaIsSaidInOneSentence() throws {
    let folder = try TemporaryFolder()
    let (data, _) = try Self.trained(folder)
    let run = folder.path + "/limited"
    let limited = try runProgram(
      "lm-train",
      [
        "--data", data, "--output", run, "--layers", "1", "--width", "16", "--heads", "2",
        "--hidden", "32", "--steps", "4", "--batch-tokens", "100", "--checkpoint-every", "2",
      ], fileBlocks: 60)
    #expect(limited.status == 1, "\(limited.errors)")
    let error = limited.errors.split(separator: "\n").last ?? ""
    #expect(error.contains("could not write \(run)/") && error.contains("File too large"))
    let resumed = try runProgram("lm-train", ["--data", data, "--output", run, "--resume"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    let tokenized = try runProgram(
      "lm-tokenize",
      [
        "--train", folder.path + "/text.txt", "--vocab-size", "280", "--output",
        folder.path + "/small",
      ], fileBlocks: 2)
    #expect(tokenized.status == 1 && tokenized.errors.contains("File too large"))
    #expect(!FileManager.default.fileExists(atPath: folder.path + "/small"))
    // What is printed is a file as well, perhaps.
    for (name, arguments) in [
      ("lm-eval", ["--checkpoint", run, "--data", data]), ("lm-eval", ["--verify", run]),
      ("lm-sample", ["--checkpoint", run]), ("lm-train", ["--list-presets"]),
    ] {
      let outcome = try runProgram(name, arguments, outputPath: "/dev/full")
      #expect(outcome.status == 1, "\(name) \(arguments)")
      #expect(outcome.errors.contains("standard output"), "\(name): \(outcome.errors)")
      #expect(outcome.errors.contains("No space left"), "\(name): \(outcome.errors)")
    }
  }

  @Test func weightsThatGiveNoNumbersFailTheAudit() throws {
    let folder = try TemporaryFolder()
    let (_, run) = try Self.trained(folder)
    // The last weights of the file are those of a matrix: all bits set is not a number.
    let path = run + "/step-00000006/model.safetensors"
    var bytes = [UInt8](try Data(contentsOf: URL(fileURLWithPath: path)))
    for index in bytes.count - 64..<bytes.count { bytes[index] = 0xFF }
    try Data(bytes).write(to: URL(fileURLWithPath: path))
    let manager = FileManager.default
    try manager.removeItem(atPath: run + "/step-00000006/SHA256SUMS")
    for (name, arguments) in [
      ("lm-eval", ["--audit"]), ("lm-sample", ["--prompt", "a"]),
    ] {
      let checkpoint = run + "/step-00000006"
      let refused = try runProgram(name, arguments + ["--checkpoint", checkpoint])
      #expect(refused.status == 1)
      #expect(refused.errors.contains("SHA256SUMS is missing"), "\(refused.errors)")
      // Of a run the one before it is taken.
      let older = try runProgram(name, arguments + ["--checkpoint", run])
      #expect(older.status == 0 && older.errors.contains(checkpoint), "\(older.errors)")
    }
    // Without its state it is weights from elsewhere.
    try manager.removeItem(atPath: run + "/step-00000006/state.json")
    let audit = try runProgram("lm-eval", ["--audit", "--checkpoint", run])
    #expect(audit.status == 1)
    #expect(audit.output.contains("FAILED"), "\(audit.output)\(audit.errors)")
  }

  @Test func mistakesInOptionsEndWithTwo() throws {
    for (name, arguments) in [
      ("lm-eval", ["--audit"]), ("lm-eval", ["--verify", "x", "--checkpoint", "y"]),
      ("lm-eval", ["--audit", "--checkpoint", "x", "--audit-sentences", "0"]),
      ("lm-tokenize", ["--verify", "x", "--output", "y"]),
    ] {
      let outcome = try runProgram(name, arguments)
      #expect(outcome.status == 2, "\(arguments): \(outcome.errors)")
    }
    for (name, arguments) in [
      ("lm-eval", ["--verify", "/none"]), ("lm-tokenize", ["--verify", "/none"]),
    ] {
      let outcome = try runProgram(name, arguments)
      #expect(outcome.status == 1 && outcome.errors.contains("/none"), "\(outcome.errors)")
    }
  }
}
