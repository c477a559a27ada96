import Backends
import Foundation
import LMData
import Model
import Storage
import Tokenize
import Train

/// Valid files, made on the spot, that mutations begin from.
package enum FuzzSeeds {
  /// Valid inputs of a target.
  package static func inputs(of target: FuzzTarget) throws -> [[UInt8]] {
    switch target {
    case .shard: return [shard]
    case .safetensors: return [try safetensors()]
    case .manifest: return [try JSONFile.encode(manifest)]
    case .config: return try configs()
    case .sums: return [manifest.sumsOfFolder]
    case .attention:
      return AttentionKind.allCases.flatMap { (kind: AttentionKind) -> [[UInt8]] in
        let options = kind.help.map { "\($0.key)=4" }.joined(separator: ",")
        return [Array(kind.rawValue.utf8), Array("\(kind.rawValue):\(options)".utf8)]
      }
    case .prompt: return texts.map { Array($0.utf8) }
    case .text: return [Array(texts.joined(separator: "\n").utf8)]
    case .zstText: return [try zstText()]
    case .tokenizer: return [tokenizer]
    case .vocabulary:
      return ["the\nking\n<UNK>\n", "the 12\nking\t3\n\né 4"].map { Array($0.utf8) }
    case .arpa:
      return [
        "\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n-1\t<unk>\t0\n0\t<s>\t-0.5\n-0.5 </s>\n"
          + "-0.4\tthe\t-0.3\n\n\\2-grams:\n-0.2\t<s> the\n-1e-1\tthe </s>\n\n\\end\\\n",
        "made by hand\n\\data\\\nngram 1=3\n\n\\1-grams:\n-inf\t<s>\n-0.5\t</s>\n-0.3\tking\n\\end\\\n",
      ].map { Array($0.utf8) }
    case .log:
      let lines = (1...3).map {
        Array(
          """
          {"cursor":{"epoch":0,"sentence":7,"shard":1},"kind":"spike","tokens":90,"sequences":3,\
          "step":\($0)}
          """.utf8)
      }
      return [lines, lines.map { SummedLine.adding(to: $0) }].map {
        Array($0.joined(separator: [10])) + [10]
      }
    case .events:
      let version = EventRecord.framed(EventRecord.version(wallTime: 1))
      return [
        version
          + (1...3).flatMap {
            EventRecord.framed(EventRecord.scalars([("a", 1)], step: $0, wallTime: 2))
          }
      ]
    case .index:
      return [
        Array(
          #"{"metadata": {"total_size": 8}, "weight_map": {"a": "x.safetensors", "b": "y.safetensors"}}"#
            .utf8)
      ]
    case .huggingFace:
      let files = HuggingFaceTokenizer.files(of: try SentencePieceModel(serialized: tokenizer))
      return [files[HuggingFaceTokenizer.tokenizerName] ?? []]
    }
  }

  private static let texts = [
    "the king saw the river", "", " a  b ", "naïve ▁ 中文 \u{1F600}", "tab\there\u{0}zero\r\n",
  ]

  /// A unigram model of a few hundred tokens.
  static let tokenizer: [UInt8] = {
    let words = ["the", "king", "saw", "river", "children", "of", "night", "and", "followed"]
    let lines: [String] = (0..<300).map { (line: Int) -> String in
      let indices: [Int] = (0..<(2 + line % 7)).map { (line * 7 + $0 * $0 * 3) % 9 }
      return indices.map { words[$0] }.joined(separator: " ")
    }
    let recipe = TokenizerRecipe(modelType: .unigram, vocabularySize: 285)
    do {
      return try TokenizerTrainer.train(recipe, sentences: lines.map { Array($0.utf8) }).serialized
    } catch {
      preconditionFailure("no tokenizer to fuzz with: \(error)")
    }
  }()

  private static func write(_ make: (String) throws -> Void) throws -> [UInt8] {
    let path = NSTemporaryDirectory() + "/fuzz-seed-\(UUID().uuidString)"
    defer { try? Files.remove(path) }
    try make(path)
    return try Files.contents(of: path)
  }

  private static let made: (bytes: [UInt8], info: ShardInfo) = {
    let path = NSTemporaryDirectory() + "/fuzz-seed-\(UUID().uuidString)"
    defer { try? Files.remove(path) }
    do {
      let writer = try ShardWriter(path: path, idBytes: 2, eos: 2, source: "text")
      for sentence in 0..<40 {
        let ids: [Int32] = (0..<sentence % 9).map { (place: Int) -> Int32 in
          Int32(3 + (sentence * 31 + place * 17) % 900)
        }
        try writer.append(ids, words: ids.count, bytes: 3 * ids.count + 1)
      }
      var info = try writer.finish()
      info.file = "train-0.zst"
      return (try Files.contents(of: path), info)
    } catch {
      preconditionFailure("no shard to fuzz with: \(error)")
    }
  }()

  static var shard: [UInt8] { made.bytes }

  /// Ids that are pairs of letters, and a newline in the one that ends a sentence.
  private static func zstText() throws -> [UInt8] {
    try write { path in
      let writer = try ShardWriter(path: path, idBytes: 2, eos: 0x0A2E, source: "text")
      for sentence in 0..<20 {
        let ids: [Int32] = (0..<sentence % 7).map { (place: Int) -> Int32 in
          Int32(0x2061 + (place * 5 + sentence) % 26)
        }
        try writer.append(ids, words: ids.count, bytes: 2 * ids.count + 2)
      }
      _ = try writer.finish()
    }
  }

  private static var manifest: Manifest {
    Manifest(
      tokenizer: TokenizerInfo(
        sha256: SHA256.hexDigest(of: tokenizer), modelType: "unigram", vocabularySize: 1_000),
      special: SpecialIDs(bos: 1, eos: 2, unk: 0), splits: ["train": [made.info]])
  }

  private static func safetensors() throws -> [UInt8] {
    let config = ModelConfig(vocabularySize: 3, width: 2, layers: 1, heads: 1, hidden: 2)
    let parameters = try Parameters(config, on: Backend.ofThisProcessor)
    return try write { try ModelFiles.writeTensors(parameters, prefix: "", to: $0) }
  }

  private static func configs() throws -> [[UInt8]] {
    let run = try Preset.named("quickstart").config(vocabularySize: 300)
    var files = [try JSONFile.encode(run), try JSONFile.encode(run.model)]
    for kind in AttentionKind.allCases {
      var model = run.model
      model.use(try AttentionConfig(parsing: kind.rawValue))
      files.append(try JSONFile.encode(model))
    }
    let state = TrainState(
      config: run, cursor: Cursor(), tokenizerSHA256: String(repeating: "0", count: 64),
      dataSHA256: String(repeating: "1", count: 64))
    return files + [try JSONFile.encode(state)]
  }
}

extension Manifest {
  /// As `SHA256SUMS` beside it.
  fileprivate var sumsOfFolder: [UInt8] {
    SumsFile.encode([
      SumsFile.Line(digest: tokenizer.sha256, name: tokenizer.file),
      SumsFile.Line(digest: String(repeating: "a", count: 64), name: Self.fileName),
    ])
  }
}
