import Foundation
import TestSupport
import Testing

/// Every stage of `lm-bench` on something tiny: a table, or the same figures as JSON.
@Suite(.serialized) struct BenchCommandTests {
  private static let shape = ["--layers", "1", "--width", "32", "--heads", "2", "--hidden", "48"]

  /// Shards of a small text, and the text.
  private static func shards(_ folder: TemporaryFolder) throws -> (data: String, text: String) {
    let words = ["ash", "birch", "cedar", "elm", "fir", "hazel", "larch", "oak", "pine", "yew"]
    let lines = (0..<3_000).map { (line: Int) -> String in
      let places = (0..<1 + line % 13).map { (line * 7 + $0 * $0 * 3) % 10 }
      return places.map { words[$0] }.joined(separator: " ")
    }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text.txt")
    let made = try runProgram(
      "lm-tokenize",
      [
        "--train", text, "--split-valid", "0.1", "--vocab-size", "290", "--model-type", "bpe",
        "--output", folder.path + "/data",
      ])
    #expect(made.status == 0, "\(made.errors)")
    return (folder.path + "/data", text)
  }

  /// Both forms of a command; returns the parsed JSON.
  private static func both(_ arguments: [String], limit: String) throws -> [[String: Any]] {
    let table = try runProgram("lm-bench", arguments)
    #expect(table.status == 0 && table.output.contains(limit), "\(arguments): \(table)")
    // What follows -- is for another program.
    let json = try runProgram("lm-bench", [arguments[0], "--json"] + arguments.dropFirst())
    #expect(json.status == 0, "\(arguments): \(json.errors)")
    let value = try JSONSerialization.jsonObject(with: Data(json.output.utf8))
    if let rows = value as? [[String: Any]] { return rows }
    return [try #require(value as? [String: Any])]
  }

  /// Attentions there are.
  private static func kinds() throws -> Int {
    let list = try runProgram("lm-train", ["--list-attentions"]).output
    return list.split(separator: "\n").count { !$0.hasPrefix(" ") }
  }

  @Test func kernelsAndSteps() throws {
    let product = "of the matrix product"
    let figures = [
      try Self.both(
        ["product", "--width", "32", "--hidden", "48", "--vocabulary", "100", "--positions", "40"],
        limit: product),
      try Self.both(
        ["attention", "--lengths", "64", "--heads", "2", "--head-width", "8", "--decode"],
        limit: product),
      try Self.both(
        ["train", "--length", "16", "--batch", "2", "--vocabulary", "100", "--steps", "2"]
          + Self.shape, limit: product),
      try Self.both(
        ["forward", "--length", "16", "--batch", "2", "--vocabulary", "100", "--steps", "2"]
          + Self.shape, limit: product),
    ]
    for rows in figures {
      #expect(rows.allSatisfy { $0["peakFlopsPerSecond"] as? Double ?? 0 > 1e8 })
    }
    #expect(figures[0].count == 11)
    #expect(figures[1].count == (try Self.kinds()))
    let work = try figures[2...].map { try #require($0[0]["flopsPerToken"] as? Double) }
    #expect(work[0] > 2.9 * work[1])
  }

  @Test func sentencesAndMemory() throws {
    let folder = try TemporaryFolder()
    let (data, _) = try Self.shards(folder)
    let lengths = folder.path + "/lengths"
    let rows = try Self.both(
      ["sentences", "--data", data, "--sentences", "20", "--steps", "3", "--lengths", lengths]
        + Self.shape, limit: "of the matrix product")
    let batches = try String(contentsOfFile: lengths, encoding: .utf8).split(separator: "\n")
    #expect(batches.count == 5 && batches.allSatisfy { $0.split(separator: " ").count == 20 })
    let tokens = batches.dropFirst(2).reduce(0) { sum, line in
      sum + line.split(separator: " ").compactMap { Int($0) }.reduce(0, +)
    }
    #expect(rows[0]["tokens"] as? Int == tokens && rows[0]["sentences"] as? Int == 60)

    let memory = try Self.both(
      ["memory", "--data", data, "--attention", "softmax", "hierarchical", "--", "--steps", "2"],
      limit: "of this machine")
    #expect(memory.count == 2)
    for row in memory {
      let (planned, peak) = (row["plannedBytes"] as? Int ?? 0, row["peakBytes"] as? Int ?? 0)
      // A sanitizer has memory of its own.
      guard ProcessInfo.processInfo.environment["SANITIZED"] == nil else { continue }
      #expect(abs(Double(peak) / Double(planned) - 1) < 0.05, "\(row)")
    }
  }

  @Test func textAndStart() throws {
    let folder = try TemporaryFolder()
    let (data, text) = try Self.shards(folder)
    let model = data + "/tokenizer.model"
    let common = ["--model", model, "--text", text, "--rounds", "1", "--alone"]
    for (command, limit) in [("tokenize", "memory"), ("pipeline", "the disk takes")] {
      let report = try Self.both([command] + common, limit: limit)
      let stages = try #require(report[0]["stages"] as? [[String: Any]])
      #expect(stages.count == (command == "tokenize" ? 3 : 2))
      #expect(stages.allSatisfy { $0["megabytesPerSecond"] as? Double ?? 0 > 0 })
    }
    let start = try Self.both(
      ["start", "--tokenizer", model, "--preset", "compare", "--rounds", "1"],
      limit: "memory")
    #expect(start.map { $0["program"] as? String } == ["lm-sample", "lm-eval"])
  }

  @Test func decoding() throws {
    let rows = try Self.both(
      ["decode", "--lengths", "8", "20", "--vocabulary", "100", "--streams", "3", "--steps", "4"]
        + Self.shape, limit: "memory")
    #expect(rows.count == 2 * (try Self.kinds()))
    #expect(rows.allSatisfy { $0["stateBytes"] as? Int ?? 0 > 0 })
  }

  @Test func mistakesInOptionsEndWithTwo() throws {
    for arguments in [
      ["sentences"], ["start"], ["start", "--checkpoint", "a", "--tokenizer", "b"], ["memory"],
      ["decode", "--lengths", "20", "10"], ["decode", "--steps", "1"], ["check", "--threads", "0"],
      ["pipeline", "--model", "a", "--text", "b", "--rounds", "0"],
    ] {
      #expect(try runProgram("lm-bench", arguments).status == 2, "\(arguments)")
    }
  }
}
