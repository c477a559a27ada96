import ArgumentParser
import CommandSupport
import Foundation
import Storage
import Tokenize

/// Speed of text to ids, stage by stage, beside `spm_encode`.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize", abstract: "Time the encoding of a text, stage by stage.",
    discussion: """
      split cuts the text into words and asks for their slots in the table; lookup encodes it with
      words that are known; encode begins with an empty table, as spm_encode's rival. The pipeline
      is all of lm-tokenize: read, encode, compress, checksum, write. Where spm_encode (Debian's
      package sentencepiece) is on the PATH it runs in turn with them, alone and piped into zstd.
      Rates per processor second count the time of all threads and processes, user and system:
      they hold on a busy machine, where rates per second do not.

      EXAMPLE

        lm-bench tokenize --model data/1bw/tokenizer.model --text corpus.txt
      """)

  @Option(help: "SentencePiece model.") var model: String
  @Option(help: "Text file; .gz and .zst are unpacked.") var text: String
  @Option(help: "Megabytes of the text, from its beginning.") var megabytes = 32
  @Option(help: "Rounds of all stages; the medians count.") var rounds = 5
  @Flag(help: "Leave out spm_encode.") var alone = false
  @Flag(help: "Print JSON.") var json = false

  /// Seconds of one run.
  private struct Time {
    var wall: Double
    var processor: Double
  }

  /// A line of the table.
  private struct Figures: Encodable {
    var stage: String
    var threads: Int
    var megabytesPerSecond: Double
    var megabytesPerProcessorSecond: Double
    /// Against spm_encode, alone or piped into zstd, by each of the two rates.
    var ratio: Double?
    var processorRatio: Double?
  }

  private struct Report: Encodable {
    var bytes: Int
    var stages: [Figures]
    /// What two threads of the pipeline are worth of one.
    var secondThread: Double
    var secondThreadByProcessorTime: Double
  }

  func validate() throws {
    guard megabytes >= 1, rounds >= 1 else {
      throw ValidationError("--megabytes and --rounds must be 1 or more")
    }
  }

  func run() throws {
    let loaded = try SentencePieceModel(path: model)
    let stages = try EncoderStages(path: text, model: loaded, limit: megabytes * 1_000_000)
    let folder = NSTemporaryDirectory() + "lm-bench-\(ProcessInfo.processInfo.processIdentifier)"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    let sample = folder + "/text"
    try stages.write(to: sample)
    var times: [String: [Time]] = [:]
    let peers = alone ? [] : Self.peers
    for _ in 0..<rounds {
      times["split", default: []].append(try Self.time { _ = stages.split() })
      times["encode", default: []].append(try Self.time { _ = try stages.encode() })
      times["lookup", default: []].append(try Self.time { _ = try stages.lookUp() })
      for threads in 1...2 {
        let time = try Self.time { try build(sample, threads: threads, in: folder) }
        times["pipeline \(threads)", default: []].append(time)
      }
      for peer in peers {
        let time = try Self.time { try shell(peer.command, sample, folder) }
        times[peer.name, default: []].append(time)
      }
    }
    try show(times.mapValues(Self.median), bytes: stages.bytes)
  }

  /// The whole work of `lm-tokenize` with a tokenizer that exists.
  private func build(_ text: String, threads: Int, in folder: String) throws {
    let corpus = try Corpus.plain(train: [text], valid: [], test: [])
    var builder = DataSetBuilder(
      corpus: corpus, output: folder + "/data", tokenizer: .file(model))
    builder.threads = threads
    builder.overwrite = true
    _ = try builder.build()
  }

  private static let encoder = "spm_encode --model=\"$1\" --output_format=id < \"$2\""

  /// The rivals that are installed.
  private static var peers: [(name: String, command: String)] {
    let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
    let isThere = { (program: String) in
      folders.contains { FileManager.default.isExecutableFile(atPath: "\($0)/\(program)") }
    }
    guard isThere("spm_encode") else { return [] }
    let alone = (name: "spm_encode", command: encoder + " > /dev/null")
    guard isThere("zstd") else { return [alone] }
    return [
      alone, (name: "spm_encode | zstd", command: encoder + " | zstd -q -f -o \"$3/ids.zst\""),
    ]
  }

  private func shell(_ command: String, _ text: String, _ folder: String) throws {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/bin/sh")
    process.arguments = ["-c", command, "sh", model, text, folder]
    process.standardError = FileHandle.nullDevice
    try process.run()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else { throw CommandError("\(command) has failed") }
  }

  private static func time(_ body: () throws -> Void) throws -> Time {
    let began = (ProcessInfo.processInfo.systemUptime, processorSeconds())
    try body()
    return Time(
      wall: ProcessInfo.processInfo.systemUptime - began.0,
      processor: processorSeconds() - began.1)
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

  private static func median(_ times: [Time]) -> Time {
    func middle(_ seconds: [Double]) -> Double { seconds.sorted()[seconds.count / 2] }
    return Time(wall: middle(times.map(\.wall)), processor: middle(times.map(\.processor)))
  }

  private func show(_ times: [String: Time], bytes: Int) throws {
    let rows: [(name: String, threads: Int, peer: String)] = [
      ("split", 1, ""), ("lookup", 1, ""), ("encode", 1, "spm_encode"),
      ("pipeline 1", 1, "spm_encode | zstd"), ("pipeline 2", 2, "spm_encode | zstd"),
      ("spm_encode", 1, ""), ("spm_encode | zstd", 2, ""),
    ]
    let stages = rows.compactMap { row in
      times[row.name].map { time in
        Figures(
          stage: row.name, threads: row.threads,
          megabytesPerSecond: Double(bytes) / time.wall * 1e-6,
          megabytesPerProcessorSecond: Double(bytes) / time.processor * 1e-6,
          ratio: times[row.peer].map { $0.wall / time.wall },
          processorRatio: times[row.peer].map { $0.processor / time.processor })
      }
    }
    guard let one = times["pipeline 1"], let two = times["pipeline 2"] else { return }
    let report = Report(
      bytes: bytes, stages: stages, secondThread: one.wall / two.wall,
      secondThreadByProcessorTime: 2 * one.processor / two.processor)
    if json {
      print(String(decoding: try JSONFile.encode(report), as: UTF8.self), terminator: "")
      return
    }
    let heading = ["stage", "threads", "MB/s", "MB per processor second", "ratio", "by processor"]
    let lines = stages.map { row in
      [
        row.stage, "\(row.threads)", Format.decimal(row.megabytesPerSecond, 1),
        Format.decimal(row.megabytesPerProcessorSecond, 1),
        row.ratio.map { Format.decimal($0, 1) } ?? "",
        row.processorRatio.map { Format.decimal($0, 1) } ?? "",
      ]
    }
    print(Format.table([heading] + lines))
    print(
      "\(Format.bytes(bytes)); two threads are worth \(Format.decimal(report.secondThread, 2)) of one,"
        + " by processor time \(Format.decimal(report.secondThreadByProcessorTime, 2))")
  }
}
