/// Batches of a split without end: every sequence once an epoch, in an order from (seed, epoch).
///
/// Shards come in a shuffled order, and so do the sequences of each; one decoded shard is in
/// memory at a time. The cursor is all the state: from it, exactly the same batches follow.
package final class TrainingSource {
  /// Where the next batch begins.
  package private(set) var cursor: Cursor
  private let dataSet: DataSet
  private let shards: [ShardInfo]
  private let counts: [Int]
  private let seed: UInt64
  private let mode: SequenceMode
  private let budget: Int

  private var shardOrder: (epoch: Int, shards: [UInt32])?
  private var current: (epoch: Int, shard: Int, decoded: DecodedShard, order: [UInt32])?

  /// A source that begins at a cursor.
  ///
  /// - Parameters:
  ///   - dataSet: Where the shards are.
  ///   - split: Its name, as a rule `train`.
  ///   - seed: Names the order.
  ///   - mode: Sentences or windows.
  ///   - budget: Positions that a batch is filled up to.
  ///   - cursor: The start, or `cursorAfter` of the last batch that was used.
  package init(
    dataSet: DataSet, split: String, seed: UInt64, mode: SequenceMode, budget: Int,
    cursor: Cursor = Cursor()
  ) throws(DataSetError) {
    precondition(budget > 0, "batches of \(budget) positions")
    let shards = try dataSet.split(split)
    self.dataSet = dataSet
    self.shards = shards
    self.counts = shards.map { mode.count(in: $0) }
    self.seed = seed
    self.mode = mode
    self.budget = budget
    self.cursor = cursor
    try check(cursor)
    normalize()
  }

  /// The next batch, and the cursor that the batch after it begins at.
  ///
  /// A batch is filled with whole sequences until the next one would pass the budget; a sequence
  /// longer than the budget is a batch by itself.
  package func next() throws(ShardError) -> (batch: Batch, cursorAfter: Cursor) {
    var batch = Batch()
    batch.reserve(positions: min(budget, 1 << 20))
    try fill { range, shard in
      let previous = mode.previous(to: range, in: shard, bos: dataSet.special.bos)
      batch.append(previous: previous, targets: shard.ids[range])
    }
    return (batch, cursor)
  }

  /// The lengths of the sequences that `next` would return, in its place.
  package func nextLengths() throws(ShardError) -> [Int] {
    var lengths: [Int] = []
    try fill { range, _ in lengths.append(range.count) }
    return lengths
  }

  /// Gives out the sequences of the next batch, and goes past them.
  private func fill(_ take: (Range<Int>, DecodedShard) -> Void) throws(ShardError) {
    let start = cursor
    var positions = 0
    while true {
      let current: (shard: DecodedShard, order: [UInt32])
      do {
        current = try shardAtCursor()
      } catch {
        // A damaged shard must not make the sequences before it disappear from the epoch.
        cursor = start
        throw error
      }
      while cursor.sentence < current.order.count {
        let range = mode.range(of: Int(current.order[cursor.sentence]), in: current.shard)
        if positions > 0 && positions + range.count > budget { return }
        take(range, current.shard)
        positions += range.count
        cursor.sentence += 1
      }
      normalize()
      if positions >= budget { return }
    }
  }

  /// Moves a cursor that stands at an end to the beginning that follows it.
  private func normalize() {
    while true {
      if cursor.shard == shards.count {
        cursor = Cursor(epoch: cursor.epoch + 1)
      } else if cursor.sentence == counts[shardIndex()] {
        cursor = Cursor(epoch: cursor.epoch, shard: cursor.shard + 1)
      } else {
        return
      }
    }
  }

  private func check(_ cursor: Cursor) throws(DataSetError) {
    guard cursor.epoch >= 0 else {
      throw .cursor(found: cursor, allowed: "epochs count from 0")
    }
    guard cursor.shard >= 0, cursor.shard <= shards.count else {
      throw .cursor(found: cursor, allowed: "shards 0 to \(shards.count)")
    }
    let count = cursor.shard == shards.count ? 0 : counts[shardIndex()]
    guard cursor.sentence >= 0, cursor.sentence <= count else {
      throw .cursor(found: cursor, allowed: "sequences 0 to \(count) in this shard")
    }
  }

  /// Which shard of the manifest the cursor stands in.
  private func shardIndex() -> Int {
    if let shardOrder, shardOrder.epoch == cursor.epoch {
      return Int(shardOrder.shards[cursor.shard])
    }
    let order = SeededOrder(seed: seed, UInt64(cursor.epoch)).permutation(shards.count)
    shardOrder = (cursor.epoch, order)
    return Int(order[cursor.shard])
  }

  private func shardAtCursor() throws(ShardError) -> (shard: DecodedShard, order: [UInt32]) {
    if let current, current.epoch == cursor.epoch, current.shard == cursor.shard {
      return (current.decoded, current.order)
    }
    // The old shard goes before the new one comes, so that two are never held.
    current = nil
    let index = shardIndex()
    let reader = try dataSet.reader(for: shards[index])
    let decoded = try DecodedShard(reader: reader, eos: dataSet.special.eos)
    let order = SeededOrder(seed: seed, UInt64(cursor.epoch), UInt64(index))
      .permutation(counts[index])
    current = (cursor.epoch, cursor.shard, decoded, order)
    return (decoded, order)
  }
}
