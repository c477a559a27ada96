/// All the ids of a shard in memory, with the offsets at which sentences begin.
///
/// One such shard is held at a time: about four bytes for each token of its text.
package final class DecodedShard: Sendable {
  /// Tokens of all sentences, each sentence closed by `</s>`.
  package let ids: [Int32]

  /// First id of every sentence, and the number of ids at the end; `sentences + 1` offsets.
  package let starts: [Int]

  /// Decodes a shard and checks its sentences against the manifest.
  package init(reader: ShardReader, eos: Int32) throws(ShardError) {
    let ids = try reader.decodeAll()
    var starts: [Int] = [0]
    var longest = 0
    // A corrupt count must not reserve memory: `sentences` never exceeds the ids read.
    starts.reserveCapacity(min(reader.info.sentences, ids.count) + 1)
    for (index, id) in ids.enumerated() where id == eos {
      longest = max(longest, index - starts[starts.count - 1])
      starts.append(index + 1)
    }
    if starts[starts.count - 1] != ids.count {
      throw .mismatch(
        path: reader.path, what: "its last id", expected: "</s> (\(eos))",
        found: "\(ids[ids.count - 1])")
    }
    if starts.count - 1 != reader.info.sentences {
      throw .mismatch(
        reader.path, "the number of its sentences", expected: reader.info.sentences,
        found: starts.count - 1)
    }
    if longest != reader.info.longestSentence {
      throw .mismatch(
        reader.path, "the tokens of its longest sentence", expected: reader.info.longestSentence,
        found: longest)
    }
    self.ids = ids
    self.starts = starts
  }

  package var sentences: Int { starts.count - 1 }
}
