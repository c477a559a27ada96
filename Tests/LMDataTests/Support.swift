import Foundation
import LMData
import Storage

/// SplitMix64 as a generator, so that every test repeats.
struct Seeded: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

let bos: Int32 = 1
let eos: Int32 = 2

/// Sentences of given lengths with ids from 3 up.
func makeSentences(_ lengths: [Int], vocabulary: Int32 = 1000, seed: UInt64 = 1) -> [[Int32]] {
  var random = Seeded(state: seed)
  return lengths.map { length in
    (0..<length).map { _ in Int32.random(in: 3..<vocabulary, using: &random) }
  }
}

/// Lengths from 0 to `longest`, all kinds among them.
func makeLengths(_ count: Int, longest: Int = 40, seed: UInt64 = 7) -> [Int] {
  var random = Seeded(state: seed)
  return (0..<count).map { _ in Int.random(in: 0...longest, using: &random) }
}

@discardableResult
func writeShard(
  _ sentences: [[Int32]], to path: String, idBytes: Int = 2, source: String = "source.txt"
) throws -> ShardInfo {
  let writer = try ShardWriter(path: path, idBytes: idBytes, eos: eos, source: source)
  for sentence in sentences {
    try writer.append(sentence, words: sentence.count / 2, bytes: sentence.count * 3 + 1)
  }
  return try writer.finish()
}

/// A data set whose split `train` has one shard for each element.
func writeDataSet(
  _ shards: [[[Int32]]], to directory: String, vocabulary: Int = 1000, split: String = "train"
) throws {
  try Files.createDirectory(directory)
  let model: [UInt8] = [1, 2, 3]
  try AtomicFile.write(model, to: directory + "/tokenizer.model")
  let infos = try shards.enumerated().map { index, sentences in
    try writeShard(
      sentences, to: directory + "/\(split)-\(index).zst",
      idBytes: Manifest.idBytes(vocabularySize: vocabulary), source: "text-\(index)")
  }
  let manifest = Manifest(
    tokenizer: TokenizerInfo(
      sha256: SHA256.hexDigest(of: model), modelType: "unigram", vocabularySize: vocabulary),
    special: SpecialIDs(bos: bos, eos: eos, unk: 0), splits: [split: infos])
  try manifest.write(to: directory)
}

/// The stream of ids that a shard of these sentences holds.
func stream(of sentences: [[Int32]]) -> [Int32] { sentences.flatMap { $0 + [eos] } }
