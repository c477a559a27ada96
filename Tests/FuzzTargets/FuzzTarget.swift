import Backends
import Eval
import Foundation
import LMData
import Model
import Ngrams
import Storage
import Tokenize
import Train

/// The readers of everything that comes from outside, each taking any bytes at all.
///
/// A run may throw; it may not trap, read outside its memory, or accept what contradicts itself.
package enum FuzzTarget: String, CaseIterable, Sendable {
  case shard, safetensors, manifest, config, sums, attention, prompt, text, zstText = "zst-text"
  case tokenizer, vocabulary, events, log
  case huggingFace = "hugging-face"
  case index, arpa

  /// Reads the bytes as one of those files.
  package func run(_ bytes: UnsafeRawBufferPointer) throws {
    switch self {
    case .shard: try Self.readShard(bytes)
    case .safetensors: try Self.readSafetensors(bytes)
    case .manifest: try Self.readManifest(bytes)
    case .config: try Self.readConfig([UInt8](bytes))
    case .sums:
      guard let lines = SumsFile.parse([UInt8](bytes)) else { throw Refused() }
      precondition(SumsFile.encode(lines) == [UInt8](bytes), "sums do not repeat")
    case .attention:
      let config = try AttentionConfig(parsing: String(decoding: bytes, as: UTF8.self))
      let again = try AttentionConfig(parsing: "\(config)")
      precondition(again == config, "\(config)")
    case .prompt: try Self.readPrompt([UInt8](bytes))
    case .text: try Self.readText(bytes, FuzzFile.text)
    case .zstText: try Self.readText(bytes, FuzzFile.zstText)
    case .tokenizer:
      try Self.readTokenizer([UInt8](bytes))
    case .vocabulary: try Self.readVocabulary([UInt8](bytes))
    case .events:
      let file = [UInt8](bytes)
      let length = EventLog.length(of: file, keepingUpTo: 1 << 40)
      precondition(length <= file.count, "more events than bytes")
      if length == 0 { throw Refused() }
    case .log: try Self.readLog(bytes)
    case .index:
      let index = try ShardIndex(path: FuzzFile.index.write(bytes))
      precondition(!index.names.isEmpty && !index.names.contains { $0.contains("/") })
    case .arpa:
      let model = try ArpaReader.read(FuzzFile.arpa.write(bytes))
      let scores = model.scores(["the", "<unk>", "king", "</s>"].map { Array($0.utf8) })
      precondition(scores.count == 5 && !scores.contains { $0.log10.isNaN }, "\(scores)")
    case .huggingFace:
      guard let model = HuggingFaceTokenizer.rebuilt(from: [UInt8](bytes), end: "</s>") else {
        throw Refused()
      }
      try SentencePieceModel(serialized: model).loadLibrary()
    }
  }

  /// What is kept of a log is a log without damage, with the same entries.
  private static func readLog(_ bytes: UnsafeRawBufferPointer) throws {
    func read(_ bytes: UnsafeRawBufferPointer, requiresSums: Bool) throws -> SummedLog<Incident> {
      try SummedLog(
        path: FuzzFile.log.write(bytes), requiresSums: requiresSums, isAppended: true)
    }
    let log = try read(bytes, requiresSums: false)
    guard !log.entries.isEmpty else { throw Refused() }
    let again = try log.summed().withUnsafeBytes { try read($0, requiresSums: true) }
    precondition(again.damages.isEmpty && again.entries.map(\.entry) == log.entries.map(\.entry))
  }

  /// Words are encoded before the library has seen the model, and must not be trusted to it.
  private static func readTokenizer(_ bytes: [UInt8]) throws {
    let model = try SentencePieceModel(serialized: bytes, loadsLibrary: false)
    let encoder = LineEncoder(model: model, cacheSlots: 1 << 8)
    let line = Array("some words, tëxt and  \u{2581}<UNK> ".utf8)
    let early = try? encoder.encode(line)
    try model.loadLibrary()
    _ = model.tokenTable()
    let late = try? model.encode(line)
    precondition(early == nil || early == late, "\(early ?? []) is not \(late ?? [])")
  }

  /// Thrown for readers that answer with nothing.
  private struct Refused: Error {}

  // MARK: Shards

  /// The file with a manifest that agrees with its seek table, so that the frames are reached.
  private static func readShard(_ bytes: UnsafeRawBufferPointer) throws {
    let path = try FuzzFile.shard.write(bytes)
    var info = ShardInfo(
      file: "shard", source: "", sentences: 0, tokens: 0, words: 0, bytes: 0,
      compressedBytes: bytes.count, longestSentence: 0, sha256: "")
    info.tokens = idsOfSeekTable(bytes)
    let reader = try ShardReader(path: path, info: info, idBytes: 2, vocabularySize: 1_000)
    let ids = try reader.decodeAll()
    precondition(ids.count == info.ids && ids.allSatisfy { (0..<1_000).contains($0) })
    info.sentences = ids.count { $0 == 2 }
    info.tokens -= info.sentences
    info.longestSentence = ids.split(separator: 2).map(\.count).max() ?? 0
    let again = try ShardReader(path: path, info: info, idBytes: 2, vocabularySize: 1_000)
    _ = try DecodedShard(reader: again, eos: 2)
  }

  private static func idsOfSeekTable(_ bytes: UnsafeRawBufferPointer) -> Int {
    func word(_ offset: Int) -> Int {
      Int(UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: offset, as: UInt32.self)))
    }
    guard bytes.count >= 17 else { return 0 }
    let frames = word(bytes.count - 9)
    guard frames <= (bytes.count - 17) / 8 else { return 0 }
    let first = bytes.count - 9 - 8 * frames
    return (0..<frames).reduce(0) { $0 + word(first + 8 * $1 + 4) } / 2
  }

  // MARK: Weights

  private static let tinyModel = ModelConfig(
    vocabularySize: 3, width: 2, layers: 1, heads: 1, hidden: 2)

  private static func readSafetensors(_ bytes: UnsafeRawBufferPointer) throws {
    let header = try SafetensorsHeader(bytes, path: "weights")
    var end = 0
    for entry in header.entries {
      precondition(entry.range.lowerBound == end && entry.shape.allSatisfy { $0 >= 0 })
      end = entry.range.upperBound
    }
    precondition(header.dataStart + end == bytes.count, "data without a tensor")
    let parameters = try Parameters(tinyModel, on: Backend.ofThisProcessor)
    try ModelFiles.readTensors(
      [("", parameters)], tied: true, from: FuzzFile.safetensors.write(bytes))
  }

  // MARK: JSON

  private static func readManifest(_ bytes: UnsafeRawBufferPointer) throws {
    _ = try FuzzFile.manifest.write(bytes)
    let set = try DataSet(directory: FuzzFile.folder)
    for name in set.manifest.splits.keys {
      let totals = set.manifest.totals(of: name)
      precondition(totals.tokens >= 0 && totals.bytes >= 0)
    }
    for shard in set.manifest.splits.values.joined() {
      precondition(!shard.file.hasPrefix("/") && !shard.file.contains(".."), shard.file)
    }
  }

  private static func readConfig(_ bytes: [UInt8]) throws {
    var isAny = false
    if let model = try? JSONFile.decode(ModelConfig.self, from: bytes, path: "config") {
      // Whatever was accepted has a size that can be computed with, and can be written again.
      if model.layers <= 64 { precondition(ParameterLayout(model).count > 0) }
      _ = try JSONFile.encode(model)
      isAny = true
    }
    if let run = try? JSONFile.decode(RunConfig.self, from: bytes, path: "config") {
      try run.validate()
      isAny = true
    }
    if (try? JSONFile.decode(TrainState.self, from: bytes, path: "state")) != nil { isAny = true }
    if !isAny { throw Refused() }
  }

  // MARK: Text

  /// Half of the file as a list, and all of it as a text.
  private static func readVocabulary(_ bytes: [UInt8]) throws {
    let list = try WordList(contents: bytes, path: "list")
    precondition(list.count <= bytes.count)
    let (text, unknown) = list.mapping(bytes)
    precondition(Words.count(in: text) == Words.count(in: bytes), "words were lost")
    let (again, same) = list.mapping(text)
    precondition(again == text && same == unknown, "\(unknown) unknown words, then \(same)")
  }

  private static let model: SentencePieceModel = {
    do {
      return try SentencePieceModel(serialized: FuzzSeeds.tokenizer)
    } catch {
      preconditionFailure("\(error)")
    }
  }()

  private static func encoder() -> LineEncoder {
    LineEncoder(model: model, cacheSlots: 1 << 8)
  }

  // One encoder a process: making its cache takes longer than a prompt.
  nonisolated(unsafe) private static var shared: LineEncoder?

  private static func sharedEncoder() -> LineEncoder {
    if let shared { return shared }
    let made = encoder()
    shared = made
    return made
  }

  private static func readPrompt(_ bytes: [UInt8]) throws {
    let line = try Prompt.line(of: bytes)
    let ids = try sharedEncoder().encode(line, name: "the prompt")
    precondition(tokens.decode(ids) == line, "a prompt is not spelled by its tokens")
    var stream = TextStream()
    var text = ""
    for byte in bytes { text += stream.append([byte]) }
    precondition(text + stream.finish() == String(decoding: bytes, as: UTF8.self))
  }

  private static let tokens = model.tokenTable()

  private static func readText(_ bytes: UnsafeRawBufferPointer, _ file: FuzzFile) throws {
    let lines = try TextLines(path: file.write(bytes), encoder: sharedEncoder())
    var total = 0
    while let line = try lines.nextLine() {
      precondition(tokens.decode(line.ids) == line.text, "line \(line.number) is not spelled")
      total += line.text.count + 1
      // A small frame may hold gigabytes; a reader that goes on is right, a fuzzer is not.
      if total > 1 << 22 { return }
    }
    let isPlain = file === FuzzFile.text
    precondition(!isPlain || total <= bytes.count + 1, "\(total) bytes of \(bytes.count)")
  }
}
