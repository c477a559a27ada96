/// A position in the endless order of a training source, and its whole state.
package struct Cursor: Codable, Equatable, Hashable, Sendable {
  /// Passes over the split that are complete.
  package var epoch: Int

  /// Shards of this epoch that are complete, in the order of the epoch.
  package var shard: Int

  /// Sentences (or windows) of this shard that are complete, in the order of the epoch.
  package var sentence: Int

  package init(epoch: Int = 0, shard: Int = 0, sentence: Int = 0) {
    self.epoch = epoch
    self.shard = shard
    self.sentence = sentence
  }
}
