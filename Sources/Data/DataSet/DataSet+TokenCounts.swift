extension DataSet {
  /// How often each token occurs in a split; `</s>` once a sentence.
  ///
  /// - Parameters:
  ///   - split: Its name.
  ///   - shards: How many are counted, the first; nil for all.
  ///   - progress: Called after every shard with its tokens; may throw to stop.
  package func tokenCounts(
    of split: String, shards: Int? = nil, progress: (_ tokens: Int) throws -> Void = { _ in }
  ) throws -> [Int] {
    var counts = [Int](repeating: 0, count: manifest.tokenizer.vocabularySize)
    for shard in try self.split(split).filter({ $0.sentences > 0 }).prefix(shards ?? .max) {
      let ids = try DecodedShard(reader: reader(for: shard), eos: special.eos).ids
      for id in ids { counts[Int(id)] += 1 }
      try progress(ids.count)
    }
    return counts
  }
}
