import Foundation
import TestSupport
import Testing

/// The same run on two devices, through the programs that a user runs.
@Suite(.serialized) struct DeviceTests {
  private static let devices = ["cpu", "oracle"]

  private static func succeed(_ name: String, _ arguments: [String]) throws -> String {
    let outcome = try runProgram(name, arguments)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome.output
  }

  private static func tokenized(_ folder: TemporaryFolder) throws -> String {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "maple", "oak", "pine"]
    let lines: [String] = (0..<500).map { (line: Int) -> String in
      let chosen: [Int] = (0..<(1 + line % 17)).map { (place: Int) -> Int in
        (line * 7_919 + place * (line + 3)) % 10
      }
      return chosen.map { words[$0] }.joined(separator: " ")
    }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text.txt")
    let data = folder.path + "/data"
    _ = try succeed(
      "lm-tokenize",
      [
        "--train", text, "--split-valid", "0.1", "--split-test", "0.1", "--vocab-size", "280",
        "--model-type", "bpe", "--output", data,
      ])
    return data
  }

  private static func train(_ data: String, _ run: String, device: String, _ more: [String]) throws
  {
    _ = try succeed(
      "lm-train",
      [
        "--data", data, "--output", run, "--device", device, "--layers", "2", "--width", "16",
        "--heads", "2", "--hidden", "24", "--steps", "8", "--batch-tokens", "300",
        "--micro-batch-tokens", "150", "--rate", "0.01", "--warmup", "2", "--dropout", "0.1",
        "--log-every", "1", "--validate-every", "4", "--checkpoint-every", "4",
      ] + more)
  }

  /// Nats a token of every line of the metrics, training and validation.
  private static func nats(_ run: String) throws -> [Double] {
    try String(contentsOfFile: run + "/metrics.jsonl", encoding: .utf8).split(separator: "\n")
      .compactMap { line in
        let fields = try JSONSerialization.jsonObject(with: Data(line.utf8)) as? [String: Any]
        return fields?["natsPerToken"] as? Double
      }
  }

  private static func expectClose(
    _ a: [Double], _ b: [Double], sourceLocation: SourceLocation = #_sourceLocation
  ) {
    #expect(a.count == b.count, sourceLocation: sourceLocation)
    // Agreed to some 1e-8 when this was written.
    for (x, y) in zip(a, b) {
      #expect(abs(x - y) <= 1e-6 * abs(y), "\(a) and \(b)", sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: [
    ["--attention", "softmax"], ["--attention", "softmax", "--position", "relativeBias"],
    ["--attention", "softmax", "--optimizer", "adamW"],
    ["--attention", "hierarchical:blockSize=4"],
    ["--attention", "combiner:segment=4,pooling=mean"],
    ["--attention", "combiner:pattern=rowmajor,segment=3,address=proj"],
    ["--attention", "yoso:estimate=expectation"],
    ["--attention", "window:window=6"],
  ])
  func lossesAndScoresAgree(model: [String]) throws {
    let folder = try TemporaryFolder()
    let data = try Self.tokenized(folder)
    let runs = Self.devices.map { folder.path + "/" + $0 }
    for (device, run) in zip(Self.devices, runs) {
      try Self.train(data, run, device: device, model)
    }
    let nats = try runs.map(Self.nats)
    #expect(nats[0].count == 10)
    Self.expectClose(nats[0], nats[1])
    // One checkpoint on both devices.
    let scores = try Self.devices.map { device in
      let report = try Self.succeed(
        "lm-eval", ["--checkpoint", runs[0], "--data", data, "--device", device, "--json"])
      let figures = try JSONSerialization.jsonObject(with: Data(report.utf8)) as? [String: Any]
      return [
        try #require(figures?["token_perplexity"] as? Double),
        try #require(figures?["nats"] as? Double),
      ]
    }
    Self.expectClose(scores[0], scores[1])
  }

  /// What the definitions trained goes on, is audited, sampled from, and read by the other device.
  @Test func aRunGoesOnOnTheOracle() throws {
    let folder = try TemporaryFolder()
    let data = try Self.tokenized(folder)
    let run = folder.path + "/run"
    // All of it is warm-up, so that two more steps are part of the same schedule.
    try Self.train(data, run, device: "oracle", ["--warmup", "20"])
    let resumed = try runProgram(
      "lm-train",
      ["--data", data, "--output", run, "--device", "oracle", "--resume", "--steps", "10"])
    #expect(resumed.status == 0, "\(resumed.errors)")
    let greedy = ["--checkpoint", run, "--prompt", "oak", "--temperature", "0"]
    let samples = try Self.devices.map { device in
      try Self.succeed("lm-sample", greedy + ["--max-tokens", "12", "--device", device])
    }
    #expect(samples[0].hasPrefix("oak") && samples[0] == samples[1])
    let audit = try Self.succeed(
      "lm-eval",
      [
        "--audit", "--checkpoint", run, "--data", data, "--audit-sentences", "3", "--device",
        "oracle",
      ])
    #expect(audit.contains("\npassed: no way was found"), "\(audit)")
  }

  /// Devices are listed whatever else a command wants, and a wrong name says which there are.
  @Test(arguments: ["lm-train", "lm-eval", "lm-sample"]) func devicesAreListed(name: String) throws
  {
    let listed = try runProgram(name, ["--list-devices"])
    #expect(listed.status == 0 && listed.output.hasPrefix("cpu      this processor, "))
    #expect(listed.output.contains("\ncuda "))
    let wrong = try runProgram(
      name, ["--device", "tpu", "--checkpoint", "/none", "--data", "/none", "--output", "/none/x"])
    #expect(wrong.status != 0)
  }

  /// It is for tests: nobody is told of it.
  @Test func theOracleIsNotOffered() throws {
    for name in ["lm-train", "lm-eval", "lm-sample"] {
      let help = try runProgram(name, ["--help"])
      #expect(!help.output.contains("oracle"))
      let wrong = try runProgram(
        name, ["--device", "none", "--checkpoint", "/none", "--data", "/none"])
      #expect(wrong.status != 0 && !wrong.errors.contains("oracle"))
    }
  }
}
