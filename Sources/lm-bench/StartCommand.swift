import ArgumentParser
import Bench
import CommandSupport
import Foundation
import LMData
import Model
import Roofline
import Storage
import Tensor
import Tokenize
import Train

/// How long a user waits for the first word of a checkpoint.
struct StartCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "start",
    abstract: "Time lm-sample to its first token and lm-eval to its first score.",
    discussion: """
      Runs the programs that stand beside this one, from their start: lm-sample
      --stream until it prints, and lm-eval on one sentence until it ends. The limit
      is to read all weights once, as the first token needs every one of them.
      Without --checkpoint a model of --preset is made for the time of the
      measurement, with random weights and the tokenizer of --tokenizer.

      EXAMPLE

        lm-bench start --tokenizer data/1bw/tokenizer.model --preset h1d-53m
      """)

  @Option(help: ArgumentHelp("A run or a checkpoint.", valueName: "run")) var checkpoint: String?
  @Option(help: ArgumentHelp("SentencePiece model.", valueName: "file")) var tokenizer: String?
  @Option(help: "Preset of the model that is made.") var preset = "h1d-53m"
  @Option(help: "One line of text.") var text = "The president said that the war was over ."
  @Option(help: "Runs of each; the medians count.") var rounds = 5
  @Flag(help: "Print JSON.") var json = false

  private struct Figures: Encodable {
    let program: String
    let until: String
    let milliseconds: Double
    /// Time to read the weights once, over the time.
    let limitFraction: Double
    let weightBytes: Int
    let memoryBytesPerSecond: Double
  }

  func validate() throws {
    guard (checkpoint == nil) != (tokenizer == nil) else {
      throw ValidationError("give either --checkpoint RUN or --tokenizer FILE")
    }
    guard rounds >= 1 else { throw ValidationError("--rounds is \(rounds), expected 1 or more") }
  }

  func run() throws {
    let folder = NSTemporaryDirectory() + "lm-bench-\(ProcessInfo.processInfo.processIdentifier)"
    try Files.createDirectory(folder)
    defer { try? Files.remove(folder) }
    let path = try checkpoint ?? make(in: folder + "/step-00000001")
    try AtomicFile.write(Array((text + "\n").utf8), to: folder + "/text")
    let sample = try Programs.child(
      "lm-sample", ["--checkpoint", path, "--stream", "--prompt", ""])
    let eval = try Programs.child(
      "lm-eval", ["--checkpoint", path, "--text", folder + "/text", "--json"])
    var (sampled, scored): ([Double], [Double]) = ([], [])
    for _ in 0..<rounds {
      let first = try sample.run()
      let score = try eval.run()
      guard first.status == 0, score.status == 0, let seconds = first.firstOutput else {
        throw CommandError("lm-sample or lm-eval has failed on \(path)")
      }
      sampled.append(seconds)
      scored.append(score.seconds)
    }
    let weights = try Files.size(
      of: CheckpointFolder.resolve(path, note: { Terminal.note($0) }) + "/" + ModelFiles.weightsName
    )
    let bandwidth = MemoryBandwidth.measure()
    let rows = [
      ("lm-sample", "first token", median(sampled)),
      ("lm-eval", "end, one sentence", median(scored)),
    ].map { program, until, seconds in
      Figures(
        program: program, until: until, milliseconds: seconds * 1e3,
        limitFraction: Double(weights) / bandwidth / seconds, weightBytes: weights,
        memoryBytesPerSecond: bandwidth)
    }
    if json {
      print(String(decoding: try JSONFile.encode(rows), as: UTF8.self), terminator: "")
      return
    }
    print(
      Format.table(
        [["program", "until", "ms", "limit ms", "of the limit"]]
          + rows.map {
            [
              $0.program, $0.until, Format.decimal($0.milliseconds, 0),
              Format.decimal($0.milliseconds * $0.limitFraction, 0),
              Format.decimal(100 * $0.limitFraction, 0) + " %",
            ]
          }))
    print(
      "memory          \(Format.bytes(Int(bandwidth)))/s; weights of \(Format.bytes(weights))")
  }

  /// A checkpoint with random weights, sums and all.
  private func make(in folder: String) throws -> String {
    let bytes = try Files.contents(of: tokenizer ?? "")
    let model = try SentencePieceModel(serialized: bytes, path: tokenizer ?? "")
    var config = try Preset.named(preset).config(vocabularySize: model.vocabularySize).model
    (config.bosID, config.eosID) = (model.special.bos, model.special.eos)
    let parameters = try Parameters(config, on: benchKernels)
    try parameters.initialize(seed: 1)
    try Files.createDirectory(folder)
    try ModelFiles.write(config, parameters, directory: folder)
    try AtomicFile.write(bytes, to: folder + "/" + CheckpointFolder.tokenizerName)
    try AtomicFile.write([], to: folder + "/" + CheckpointFolder.optimizerName)
    try AtomicFile.write(Array("{}\n".utf8), to: folder + "/" + CheckpointFolder.stateName)
    let sums = try Files.entries(of: folder).sorted().map {
      SumsFile.Line(digest: try SHA256.hexDigest(ofFile: folder + "/" + $0), name: $0)
    }
    try AtomicFile.write(SumsFile.encode(sums), to: folder + "/" + CheckpointFolder.sumsName)
    return folder
  }
}

/// The programs that were built with this one.
enum Programs {
  /// A program beside this one.
  static func child(_ name: String, _ arguments: [String]) throws -> Child {
    let own = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    let path = Files.parent(of: own) + "/" + name
    guard FileManager.default.isExecutableFile(atPath: path) else {
      throw CommandError("\(path) is missing; run swift build -c release")
    }
    return Child(path, arguments)
  }
}
