import ArgumentParser
import CommandSupport
import Machine
import Roofline
import Storage
import Tensor
import Tokenize

/// Speed of all that lm-tokenize does with a tokenizer that exists.
struct PipelineCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pipeline", abstract: "Time text to shards: read, encode, compress, sum, write.",
    discussion: """
      With one thread and with two, each from nothing: the model is loaded and the
      tables of words are empty, as for spm_encode | zstd (Debian's packages
      sentencepiece and zstd), which runs in turn where both are on the PATH. The
      limit is to write the shards to the disk.

      EXAMPLE

        lm-bench pipeline --model data/1bw/tokenizer.model --text corpus.txt \\
          --megabytes 118
      """)

  @OptionGroup var options: TextOptions

  private struct Report: Encodable {
    var bytes: Int
    /// Text whose shards the disk takes in a second.
    var limitBytesPerSecond: Double
    var stages: [TextTiming.Figures]
    /// What two threads are worth of one.
    var secondThread: Double
    var secondThreadByProcessorTime: Double
  }

  /// Runs with one thread and with two in every round: the rival takes thirty times as long, and
  /// what the second thread is worth varies more than either rate.
  private static let pairs = 3

  private static let peer =
    "spm_encode --model=\"$1\" --output_format=id < \"$2\" | zstd -q -f -o \"$3/ids.zst\""

  func run() throws {
    let model = try SentencePieceModel(path: options.model)
    let stages = try EncoderStages(
      path: options.text, model: model, limit: options.megabytes * 1_000_000)
    var timing = TextTiming(bytes: stages.bytes)
    var writing = Double.infinity
    try TextTiming.withFolder { folder in
      let text = folder + "/text"
      try stages.write(to: text)
      for _ in 0..<options.rounds {
        for _ in 0..<Self.pairs {
          for threads in 1...2 {
            try timing.run("pipeline \(threads)") { try build(text, threads: threads, in: folder) }
          }
        }
        writing = min(writing, try Self.secondsToWrite(folder + "/data", in: folder))
        if !options.alone, TextTiming.isThere("spm_encode"), TextTiming.isThere("zstd") {
          try timing.run(shell: Self.peer, [options.model, text, folder])
        }
      }
    }
    let limit = Double(stages.bytes) / writing
    var rows = (1...2).compactMap {
      timing.figures("pipeline \($0)", threads: $0, peer: Self.peer, limit: limit)
    }
    if var peer = timing.figures(Self.peer, threads: 2, peer: nil, limit: limit) {
      peer.stage = "spm_encode | zstd"
      rows.append(peer)
    }
    guard let one = timing.median("pipeline 1"), let two = timing.median("pipeline 2") else {
      return
    }
    let report = Report(
      bytes: stages.bytes, limitBytesPerSecond: limit, stages: rows,
      secondThread: one.wall / two.wall,
      secondThreadByProcessorTime: 2 * one.processor / two.processor)
    if options.json {
      print(String(decoding: try JSONFile.encode(report), as: UTF8.self), terminator: "")
      return
    }
    print(TextTiming.table(rows))
    print(
      "\(Format.bytes(stages.bytes)) of text, whose shards the disk takes at "
        + "\(Format.bytes(Int(limit)))/s; two threads are worth "
        + "\(Format.decimal(report.secondThread, 2)) of one, by processor time "
        + "\(Format.decimal(report.secondThreadByProcessorTime, 2))")
  }

  /// The whole work of `lm-tokenize` with a tokenizer that exists.
  private func build(_ text: String, threads: Int, in folder: String) throws {
    let corpus = try Corpus.plain(train: [text], valid: [], test: [])
    var builder = DataSetBuilder(
      corpus: corpus, output: folder + "/data", tokenizer: .file(options.model))
    builder.threads = threads
    builder.overwrite = true
    _ = try builder.build()
  }

  /// Seconds to write the files of a data set once more, down to the disk.
  private static func secondsToWrite(_ data: String, in folder: String) throws -> Double {
    let files = try Files.entries(of: data).map { try Files.contents(of: data + "/" + $0) }
    let began = WallClock.seconds()
    let writer = try FileWriter(path: folder + "/copy")
    for file in files { try writer.append(file) }
    try writer.finish()
    return WallClock.seconds() - began
  }
}
