extension DataSet {
  /// How often each token occurs in a split; `</s>` once a sentence.
  ///
  /// - Parameters:
  ///   - split: Its name.
  ///   - progress: Called after every shard with its tokens; may throw to stop.
  package func tokenCounts(
    of split: String, progress: (_ tokens: Int) throws -> Void = { _ in }
  ) throws -> [Int] {
    var counts = [Int](repeating: 0, count: manifest.tokenizer.vocabularySize)
    for shard in try self.split(split) where shard.sentences > 0 {
      let ids = try DecodedShard(reader: reader(for: shard), eos: special.eos).ids
      for id in ids { counts[Int(id)] += 1 }
      try progress(ids.count)
    }
    return counts
  }
}
