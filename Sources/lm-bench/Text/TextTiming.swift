import ArgumentParser
import CommandSupport
import Foundation
import Machine
import Roofline
import Storage
import Tensor
import Tokenize

/// Options that the timings of text share.
struct TextOptions: ParsableArguments {
  @Option(help: "SentencePiece model.") var model: String
  @Option(help: "Text file; .gz and .zst are unpacked.") var text: String
  @Option(help: "Megabytes of the text, from its beginning.") var megabytes = 32
  @Option(help: "Rounds of all stages; the medians count.") var rounds = 5
  @Flag(help: "Leave out the peer.") var alone = false
  @Flag(help: "Print JSON.") var json = false

  func validate() throws {
    guard megabytes >= 1, rounds >= 1 else {
      throw ValidationError("--megabytes and --rounds must be 1 or more")
    }
  }
}

/// Stages of text that take turns, and rivals that are run by a shell.
struct TextTiming {
  /// Seconds of one run.
  struct Time {
    var wall: Double
    var processor: Double

    static func median(_ times: [Time]) -> Time {
      Time(
        wall: lm_bench.median(times.map(\.wall)),
        processor: lm_bench.median(times.map(\.processor)))
    }
  }

  /// A line of the table.
  struct Figures: Encodable {
    var stage: String
    var threads: Int
    var megabytesPerSecond: Double
    var megabytesPerProcessorSecond: Double
    /// Bytes of text a second, of those that the machine's limit allows.
    var limitFraction: Double
    /// Against the rival, by each of the two rates.
    var ratio: Double?
    var processorRatio: Double?
  }

  let bytes: Int
  private(set) var times: [String: [Time]] = [:]

  init(bytes: Int) { self.bytes = bytes }

  mutating func run(_ name: String, _ body: () throws -> Void) rethrows {
    let began = (WallClock.seconds(), Self.processorSeconds())
    try body()
    times[name, default: []].append(
      Time(
        wall: WallClock.seconds() - began.0,
        processor: Self.processorSeconds() - began.1))
  }

  /// Runs a command of the shell, whose parameters are `$1` and so on.
  mutating func run(shell command: String, _ parameters: [String]) throws {
    try run(command) {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments = ["-c", command, "sh"] + parameters
      process.standardError = FileHandle.nullDevice
      try process.run()
      process.waitUntilExit()
      guard process.terminationStatus == 0 else { throw CommandError("\(command) has failed") }
    }
  }

  /// Whether a program is on the `PATH`.
  static func isThere(_ program: String) -> Bool {
    (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").contains {
      FileManager.default.isExecutableFile(atPath: "\($0)/\(program)")
    }
  }

  func median(_ name: String) -> Time? { times[name].map(Time.median) }

  /// - Parameters:
  ///   - peer: Name of the rival, if it ran.
  ///   - limit: Bytes of text a second that the machine allows.
  func figures(_ name: String, threads: Int, peer: String?, limit: Double) -> Figures? {
    guard let time = median(name) else { return nil }
    let rival = peer.flatMap(median)
    return Figures(
      stage: name, threads: threads, megabytesPerSecond: Double(bytes) / time.wall * 1e-6,
      megabytesPerProcessorSecond: Double(bytes) / time.processor * 1e-6,
      limitFraction: Double(bytes) / time.wall / limit,
      ratio: rival.map { $0.wall / time.wall },
      processorRatio: rival.map { $0.processor / time.processor })
  }

  static func table(_ rows: [Figures]) -> String {
    Format.table(
      [
        [
          "stage", "threads", "MB/s", "MB per processor second", "of the limit", "ratio",
          "by processor",
        ]
      ]
        + rows.map { row in
          [
            row.stage, "\(row.threads)", Format.decimal(row.megabytesPerSecond, 1),
            Format.decimal(row.megabytesPerProcessorSecond, 1),
            Format.decimal(100 * row.limitFraction, 1) + " %",
            row.ratio.map { Format.decimal($0, 1) } ?? "",
            row.processorRatio.map { Format.decimal($0, 1) } ?? "",
          ]
        })
  }

  /// User and system time of this process and of those it has waited for.
  private static func processorSeconds() -> Double {
    var seconds = 0.0
    for who in [RUSAGE_SELF.rawValue, RUSAGE_CHILDREN.rawValue] {
      var usage = rusage()
      getrusage(__rusage_who_t(who), &usage)
      for time in [usage.ru_utime, usage.ru_stime] {
        seconds += Double(time.tv_sec) + Double(time.tv_usec) * 1e-6
      }
    }
    return seconds
  }

  /// Runs `body` with a folder that is removed after it.
  static func withFolder<Result>(_ body: (String) throws -> Result) throws -> Result {
    let folder = NSTemporaryDirectory() + "lm-bench-\(ProcessInfo.processInfo.processIdentifier)"
    try Files.createDirectory(folder)
    defer { try? Files.remove(folder) }
    return try body(folder)
  }
}
