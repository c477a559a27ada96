import Foundation
import TestSupport
import Testing

/// Same seed, same bits with 1, 2 and 3 threads, through the programs that a user runs.
@Suite(.serialized) struct DeterminismTests {
  private static let threads = ["1", "2", "3"]

  private static func succeed(_ name: String, _ arguments: [String]) throws -> String {
    let outcome = try runProgram(name, arguments)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome.output
  }

  private static func tokenized(_ folder: TemporaryFolder, threads: String, name: String) throws {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
    for part in 0..<3 {
      let lines: [String] = (0..<900).map { (line: Int) -> String in
        let chosen: [Int] = (0..<(1 + (line + part) % 23)).map { (place: Int) -> Int in
          (line * 7_919 + place * (line + part + 3)) % 10
        }
        return chosen.map { words[$0] }.joined(separator: " ")
      }
      try folder.write(lines.joined(separator: "\n") + "\n", to: "text/\(part).txt")
    }
    _ = try succeed(
      "lm-tokenize",
      [
        "--train", folder.path + "/text", "--split-test", "0.05", "--vocab-size", "280",
        "--output", folder.path + "/" + name, "--seed", "3", "--threads", threads,
      ])
  }

  /// Lines of metrics without what a clock has measured, and without the sums of it.
  private static func metrics(_ path: String) throws -> [String] {
    let clock = /"(tokensPerSecond|peakFraction|trainedSeconds|sum)":[^,}]*,?/
    return try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
      String($0.replacing(clock, with: ""))
    }
  }

  @Test func shardsDoNotDependOnThreads() throws {
    let folder = try TemporaryFolder()
    for threads in Self.threads {
      try Self.tokenized(folder, threads: threads, name: "data-" + threads)
    }
    let first = try folder.contents(of: "data-1")
    #expect(first.count >= 5, "\(first.keys)")
    for threads in Self.threads {
      #expect(try folder.contents(of: "data-" + threads) == first, "\(threads) threads")
    }
  }

  @Test(arguments: [
    "softmax", "hierarchical:blockSize=4", "yoso:estimate=sampled,bits=4,hashes=8",
    "yoso:estimate=expectation,bits=4", "combiner:pattern=fixed,segment=4",
    "combiner:pattern=rowmajor,segment=4,address=proj", "window:window=7",
  ])
  func trainingScoresAndSamplesDoNotDependOnThreads(attention: String) throws {
    let folder = try TemporaryFolder()
    try Self.tokenized(folder, threads: "2", name: "data")
    let data = folder.path + "/data"
    var runs: [[String: [UInt8]]] = []
    var logs: [[String]] = []
    for threads in Self.threads {
      let name = "run-" + threads
      _ = try Self.succeed(
        "lm-train",
        [
          "--data", data, "--output", folder.path + "/" + name, "--attention", attention,
          "--layers", "2", "--width", "32", "--heads", "2", "--hidden", "48", "--steps", "12",
          "--batch-tokens", "1500", "--rate", "0.01", "--warmup", "2", "--dropout", "0.1",
          "--log-every", "3", "--validate-every", "6", "--seed", "9", "--threads", threads,
        ])
      runs.append(try folder.contents(of: name + "/step-00000012"))
      logs.append(try Self.metrics(folder.path + "/" + name + "/metrics.jsonl"))
    }
    // The state holds seconds; the sums hold that of the state.
    let compared = runs[0].keys.filter { $0 != "state.json" && $0 != "SHA256SUMS" }
    #expect(compared.count >= 4)
    for (run, log) in zip(runs, logs) {
      for file in compared { #expect(run[file] == runs[0][file], "\(file)") }
      #expect(log == logs[0] && log.count >= 4)
    }

    let run = folder.path + "/run-1"
    let outputs = try Self.threads.map { threads in
      let scores = folder.path + "/scores-" + threads
      let report = try Self.succeed(
        "lm-eval",
        [
          "--checkpoint", run, "--data", data, "--json", "--score", scores, "--per-token",
          "--threads", threads,
        ])
      let samples = try Self.succeed(
        "lm-sample",
        ["--checkpoint", run, "--count", "12", "--seed", "4", "--threads", threads])
      return [report, try String(contentsOfFile: scores, encoding: .utf8), samples]
    }
    for output in outputs { #expect(output == outputs[0]) }
    #expect(outputs[0].allSatisfy { $0.count > 50 })
  }
}
