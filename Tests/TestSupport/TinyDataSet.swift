import Deterministic
import Host
package import LMData
import Storage
import Tensor

/// A data set of seeded ids on disk, with a structure that a model can learn.
package enum TinyDataSet {
  package static let vocabulary = 61
  /// Stands in for the tokenizer's file: its sum is checked, its content is never read.
  package static let tokenizer = Array("not a tokenizer, only its bytes".utf8)

  /// The bytes of every token: control tokens none, others a space and a letter or two.
  package static var tokenTable: TokenTable {
    TokenTable((0..<vocabulary).map { $0 < 3 ? [] : [0x20, UInt8(0x40 + $0 % 60)] })
  }

  /// Writes shards and manifest into a folder.
  ///
  /// - Parameters:
  ///   - shards: Number of training shards.
  ///   - sentences: Sentences of each.
  @discardableResult
  package static func write(
    to directory: String, shards: Int = 3, sentences: Int = 60, seed: UInt64 = 1
  ) throws -> DataSet {
    try Files.createDirectory(directory)
    try AtomicFile.write(tokenizer, to: directory + "/tokenizer.model")
    var splits: [String: [ShardInfo]] = [:]
    for (split, count) in [("train", shards), ("valid", 1), ("test", 1)] {
      splits[split] = try (0..<count).map { index in
        let name = "\(split)-\(index).zst"
        let writer = try ShardWriter(
          path: directory + "/" + name, idBytes: 2, eos: 2, source: "\(split)-\(index).txt")
        let random = CounterRandom(
          seed: seed, UInt64(index), split == "train" ? 1 : split == "valid" ? 2 : 3)
        for sentence in 0..<sentences {
          let ids = Self.sentence(random, sentence)
          let (words, bytes) = tokenTable.measure(ids)
          try writer.append(ids, words: words, bytes: bytes)
        }
        return try writer.finish()
      }
    }
    try Manifest(
      tokenizer: TokenizerInfo(
        sha256: SHA256.hexDigest(of: tokenizer), modelType: "bpe", vocabularySize: vocabulary),
      special: SpecialIDs(bos: 1, eos: 2, unk: 0), splits: splits
    ).write(to: directory)
    return try DataSet(directory: directory)
  }

  /// Writes a data set whose training shards have sentences of given lengths, `</s>` included.
  @discardableResult
  package static func write(to directory: String, lengths: [[Int]]) throws -> DataSet {
    try Files.createDirectory(directory)
    try AtomicFile.write(tokenizer, to: directory + "/tokenizer.model")
    let shards = try (lengths + [[5, 9]]).enumerated().map { index, lengths in
      let name = index == 0 ? "train.zst" : "train-\(index).zst"
      let writer = try ShardWriter(
        path: directory + "/" + name, idBytes: 2, eos: 2, source: "\(index).txt")
      for length in lengths {
        let ids = (1..<max(1, length)).map { Int32(3 + $0 * 7 % 58) }
        let (words, bytes) = tokenTable.measure(ids)
        try writer.append(ids, words: words, bytes: bytes)
      }
      return try writer.finish()
    }
    try Manifest(
      tokenizer: TokenizerInfo(
        sha256: SHA256.hexDigest(of: tokenizer), modelType: "bpe", vocabularySize: vocabulary),
      special: SpecialIDs(bos: 1, eos: 2, unk: 0),
      splits: ["train": Array(shards.dropLast()), "valid": [shards[lengths.count]]]
    ).write(to: directory)
    return try DataSet(directory: directory)
  }

  /// Arithmetic progressions: the next token follows from the last two.
  private static func sentence(_ random: CounterRandom, _ index: Int) -> [Int32] {
    let bits = random.bits(UInt64(index))
    let length = Int(bits % 23)
    let first = Int((bits >> 8) % 58)
    let step = Int((bits >> 16) % 5) + 1
    return (0..<length).map { Int32(3 + (first + step * $0) % 58) }
  }
}
