import Foundation
import Model
import Storage
import TestSupport
import Testing

/// What the commands do when a signal comes, and when another one works in the same folder.
@Suite(.serialized) struct SignalTests {
  private static let model = [
    "--layers", "1", "--width", "16", "--heads", "2", "--hidden", "32", "--batch-tokens", "100",
    "--log-every", "2", "--dropout", "0.1", "--validate-every", "0",
  ]

  private static func data(_ folder: TemporaryFolder) throws -> String {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
    let lines: [String] = (0..<400).map { (line: Int) -> String in
      (0..<(3 + line % 9)).map { words[(line * 7919 + $0 * (line + 3)) % 10] }.joined(
        separator: " ")
    }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text.txt")
    let data = folder.path + "/data"
    let made = try runProgram(
      "lm-tokenize",
      ["--train", text, "--vocab-size", "280", "--model-type", "bpe", "--output", data])
    try #require(made.status == 0, "\(made.errors)")
    return data
  }

  private static func latest(_ run: String) throws -> String {
    String(decoding: try Files.contents(of: run + "/latest"), as: UTF8.self)
  }

  /// Every signal that asks a run to leave saves it; together they come to the bits of a whole run.
  @Test func everyStoppingSignalSaves() throws {
    let folder = try TemporaryFolder()
    let data = try Self.data(folder)
    let options = Self.model + ["--steps", "1500"]
    let whole = try runProgram(
      "lm-train", ["--data", data, "--output", folder.path + "/whole"] + options)
    #expect(whole.status == 0, "\(whole.errors)")
    let run = folder.path + "/parts"
    let signals = [
      (SIGHUP, "step 20/", 129), (SIGUSR1, "step 300/", 138), (SIGTERM, "step 600/", 143),
      (SIGINT, "step 900/", 130),
    ]
    for (index, (number, moment, code)) in signals.enumerated() {
      let stopped = try runProgram(
        "lm-train", ["--data", data, "--output", run] + (index == 0 ? options : ["--resume"]),
        signal: (number, after: moment))
      #expect(Int(stopped.status) == code, "\(stopped.errors)")
      let steps = CheckpointFolder.steps(ofRun: run)
      #expect(try Self.latest(run) == CheckpointFolder.name(step: steps.last ?? 0) + "\n")
      #expect(steps.last ?? 0 >= [20, 300, 600, 900][index])
      #expect(!Files.exists(run + "/lock"))
    }
    // SIGUSR2 saves, and the run goes on to its end.
    let rest = try runProgram(
      "lm-train", ["--data", data, "--output", run, "--resume", "--keep-last", "9"],
      signal: (SIGUSR2, after: "step 1,200/"))
    #expect(rest.status == 0, "\(rest.errors)")
    #expect(CheckpointFolder.steps(ofRun: run).contains { (1200..<1500).contains($0) })
    #expect(!Files.exists(run + "/lock"))
    let files = try ["whole", "parts"].map { try folder.contents(of: $0 + "/step-00001500") }
    for file in ["model.safetensors", "optimizer.safetensors", "config.json"] {
      #expect(files[0][file] != nil && files[0][file] == files[1][file], "\(file)")
    }
  }

  /// A program that goes on in the background, with what it writes to standard error.
  private final class Running {
    let process = Process()
    private let errors = Pipe()
    private(set) var messages = ""

    /// - Parameter shell: Run by a shell before the program takes its place.
    init(_ name: String, _ arguments: [String], shell: String = ":") throws {
      let tests = URL(fileURLWithPath: CommandLine.arguments[0]).resolvingSymlinksInPath()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments =
        ["-c", "\(shell); exec \"$0\" \"$@\""]
        + [tests.deletingLastPathComponent().appendingPathComponent(name).path] + arguments
      process.standardError = errors
      process.standardOutput = FileHandle.nullDevice
      try process.run()
    }

    func wait(for text: String) throws {
      while !messages.contains(text) {
        let part = errors.fileHandleForReading.availableData
        try #require(!part.isEmpty, "\(messages)")
        messages += String(decoding: part, as: UTF8.self)
      }
    }

    func end() -> Int32 {
      messages += String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      return process.terminationStatus
    }
  }

  @Test func nohupIsRespected() throws {
    let folder = try TemporaryFolder()
    let data = try Self.data(folder)
    let run = folder.path + "/run"
    let running = try Running(
      "lm-train", ["--data", data, "--output", run, "--steps", "100000"] + Self.model,
      shell: "trap '' HUP")
    try running.wait(for: "step 20/")
    kill(running.process.processIdentifier, SIGHUP)
    // It goes on: for the next lines more steps are taken.
    try running.wait(for: "step 100/")
    kill(running.process.processIdentifier, SIGTERM)
    #expect(running.end() == 143, "\(running.messages)")
  }

  /// The second lm-train on a folder is told who has it; readers are not disturbed.
  @Test func oneAtATimeTrainsInAFolder() throws {
    let folder = try TemporaryFolder()
    let data = try Self.data(folder)
    let run = folder.path + "/run"
    let start = ["--data", data, "--output", run, "--steps", "100000"] + Self.model
    let running = try Running("lm-train", start + ["--checkpoint-every", "20"])
    try running.wait(for: "step 40/")
    let config = try Files.contents(of: run + "/config.json")
    let resume = ["--data", data, "--output", run + "/../run/", "--resume", "--log-every", "7"]
    for second in [start + ["--seed", "9"], resume] {
      let refused = try runProgram("lm-train", second)
      #expect(refused.status == 1, "\(refused.errors)")
      #expect(refused.errors.contains("process \(running.process.processIdentifier) "))
      #expect(try Files.contents(of: run + "/config.json") == config)
    }
    #expect(try runProgram("lm-train", resume + ["--dry-run"]).status == 0)
    // A process that dies leaves its lock, and nobody has to do anything.
    kill(running.process.processIdentifier, SIGKILL)
    _ = running.end()
    #expect(Files.exists(run + "/lock"))
    let next = try Running("lm-train", ["--data", data, "--output", run, "--resume"])
    try next.wait(for: "step ")
    let verified = try runProgram("lm-eval", ["--verify", run])
    #expect(verified.status == 0, "\(verified.output)")
    kill(next.process.processIdentifier, SIGTERM)
    #expect(next.end() == 143, "\(next.messages)")
    #expect(!Files.exists(run + "/lock"))
    // Nor is a file of the run written over by its report.
    let metrics = try Files.contents(of: run + "/metrics.jsonl")
    for target in [run + "/metrics.jsonl", data + "/manifest.json"] {
      let report = try runProgram("lm-eval", ["--report", run, "--output", target])
      #expect(report.status == 1 && report.errors.contains(target), "\(report.errors)")
    }
    #expect(try Files.contents(of: run + "/metrics.jsonl") == metrics)
  }

  /// A start that fails leaves nothing behind.
  @Test func aFailedStartLeavesNothing() throws {
    let folder = try TemporaryFolder()
    let data = try Self.data(folder)
    let failed = try runProgram(
      "lm-train",
      ["--data", data, "--output", folder.path + "/a/run", "--width", "33", "--heads", "2"])
    #expect(failed.status == 1, "\(failed.errors)")
    let inside = try runProgram(
      "lm-train", ["--data", data, "--output", data + "/run"] + Self.model)
    #expect(inside.status == 1 && inside.errors.contains("a data set"), "\(inside.errors)")
    #expect(try Files.entries(of: folder.path) == ["data", "text.txt"])
    #expect(!Files.exists(data + "/run"))
  }

  /// Batch systems send SIGUSR1 and SIGUSR2 to everything: what has nothing to save goes on.
  @Test func commandsWithNothingToSaveGoOn() throws {
    let folder = try TemporaryFolder()
    let text = folder.path + "/text.txt"
    let lines = String(repeating: "the king saw a great river\n", count: 300_000)
    try folder.write(lines, to: "text.txt")
    for number in [SIGUSR1, SIGUSR2, SIGHUP] {
      let output = folder.path + "/data-\(number)"
      let made = try runProgram(
        "lm-tokenize",
        ["--train", text, "--vocab-size", "280", "--model-type", "bpe", "--output", output],
        signal: (number, after: "sampling"))
      #expect((made.status == 0) == (number != SIGHUP), "\(number): \(made.errors)")
      #expect(Files.exists(output + "/manifest.json") == (number != SIGHUP))
    }
  }
}
