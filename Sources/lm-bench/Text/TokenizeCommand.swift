import ArgumentParser
import CommandSupport
import Deterministic
import Roofline
import Storage
import Tensor
import Tokenize

/// Speed of text to ids, stage by stage, beside `spm_encode`.
struct TokenizeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tokenize", abstract: "Time the encoding of a text, stage by stage.",
    discussion: """
      split cuts the text into words and asks for their slots in the table; lookup
      encodes it with words that are known; encode begins with an empty table, as
      spm_encode's rival. Where spm_encode (Debian's package sentencepiece) is on
      the PATH it runs in turn with them. The limit is to read the text from memory
      once. Rates per processor second count the time of all threads and processes,
      user and system: they hold on a busy machine, where rates per second do not.

      EXAMPLE

        lm-bench tokenize --model data/1bw/tokenizer.model --text corpus.txt
      """)

  @OptionGroup var options: TextOptions

  private struct Report: Encodable {
    var bytes: Int
    var memoryBytesPerSecond: Double
    var stages: [TextTiming.Figures]
  }

  private static let peer = "spm_encode --model=\"$1\" --output_format=id < \"$2\" > /dev/null"

  func run() throws {
    Parallel.threads = 1
    let model = try SentencePieceModel(path: options.model)
    let stages = try EncoderStages(
      path: options.text, model: model, limit: options.megabytes * 1_000_000)
    var timing = TextTiming(bytes: stages.bytes)
    try TextTiming.withFolder { folder in
      try stages.write(to: folder + "/text")
      for _ in 0..<options.rounds {
        timing.run("split") { _ = stages.split() }
        try timing.run("encode") { _ = try stages.encode() }
        try timing.run("lookup") { _ = try stages.lookUp() }
        if !options.alone, TextTiming.isThere("spm_encode") {
          try timing.run(shell: Self.peer, [options.model, folder + "/text"])
        }
      }
    }
    let bandwidth = MemoryBandwidth.measure()
    var rows = [("split", false), ("lookup", false), ("encode", true)].compactMap {
      timing.figures($0.0, threads: 1, peer: $0.1 ? Self.peer : nil, limit: bandwidth)
    }
    if var peer = timing.figures(Self.peer, threads: 1, peer: nil, limit: bandwidth) {
      peer.stage = "spm_encode"
      rows.append(peer)
    }
    if options.json {
      let report = Report(bytes: stages.bytes, memoryBytesPerSecond: bandwidth, stages: rows)
      print(String(decoding: try JSONFile.encode(report), as: UTF8.self), terminator: "")
      return
    }
    print(TextTiming.table(rows))
    print(
      "\(Format.bytes(stages.bytes)) of text; memory \(Format.bytes(Int(bandwidth)))/s by one thread"
    )
  }
}
