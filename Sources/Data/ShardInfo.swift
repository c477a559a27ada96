/// A shard and its counts, which are exact.
package struct ShardInfo: Codable, Equatable, Sendable {
  /// Path of the shard relative to the data set.
  package var file: String

  /// Name of the text file it was made from.
  package var source: String
  package var sentences: Int

  /// Tokens of all sentences, without the `</s>` of each.
  package var tokens: Int
  package var words: Int

  /// UTF-8 bytes of the text, one newline per sentence included.
  package var bytes: Int
  package var compressedBytes: Int

  /// Tokens of the longest sentence, without `</s>`.
  package var longestSentence: Int

  /// Checksum of the shard file, 64 hexadecimal digits.
  package var sha256: String

  /// Words that are `<UNK>`; absent where no word was replaced.
  package var unknownWords: Int?

  package init(
    file: String, source: String, sentences: Int, tokens: Int, words: Int, bytes: Int,
    compressedBytes: Int, longestSentence: Int, sha256: String
  ) {
    self.file = file
    self.source = source
    self.sentences = sentences
    self.tokens = tokens
    self.words = words
    self.bytes = bytes
    self.compressedBytes = compressedBytes
    self.longestSentence = longestSentence
    self.sha256 = sha256
  }

  /// Ids in the file: the tokens and one `</s>` per sentence.
  package var ids: Int { tokens + sentences }
}

/// Sums over shards.
package struct Totals: Equatable, Sendable {
  package var shards = 0
  package var sentences = 0
  package var tokens = 0
  package var words = 0
  package var bytes = 0
  package var compressedBytes = 0
  package var longestSentence = 0
  package var unknownWords = 0

  package init() {}

  package mutating func add(_ shard: ShardInfo) {
    shards += 1
    sentences += shard.sentences
    tokens += shard.tokens
    words += shard.words
    bytes += shard.bytes
    compressedBytes += shard.compressedBytes
    longestSentence = max(longestSentence, shard.longestSentence)
    unknownWords += shard.unknownWords ?? 0
  }
}

extension ShardInfo {
  /// Name of a shard: its split and its number in that, five digits at least.
  package static func fileName(split: String, number: Int) -> String {
    let digits = String(number)
    return "\(split)-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits + ".zst"
  }
}
