/// An endless sequence of batches: every sequence of a split once an epoch, in an order that depends on
/// the seed and the epoch.
///
/// Shards are shuffled, and so are the sequences of each; one decoded shard is in memory at a time. The
/// cursor is the whole state: the same cursor gives the same batches.
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
  ///   - seed: Of the order.
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
    passEnds()
  }

  /// The next batch, and the cursor that the batch after it begins at.
  ///
  /// A batch is filled with whole sequences until the next one would pass the budget; a sequence
  /// longer than the budget is a batch by itself.
  package func next() throws(ShardError) -> (batch: Batch, cursorAfter: Cursor) {
    var batch = Batch()
    batch.reserve(positions: min(budget, 1 << 20))
    try forEachInBatch { range, shard in
      let previous = mode.previous(to: range, in: shard, bos: dataSet.special.bos)
      batch.append(previous: previous, targets: shard.ids[range])
    }
    return (batch, cursor)
  }

  /// The lengths of the sequences of the next batch; moves the cursor as ``next()`` does.
  package func nextLengths() throws(ShardError) -> [Int] {
    var lengths: [Int] = []
    try forEachInBatch { range, _ in lengths.append(range.count) }
    return lengths
  }

  /// Calls `body` with every sequence of the next batch and moves the cursor past them.
  private func forEachInBatch(_ body: (Range<Int>, DecodedShard) -> Void) throws(ShardError) {
    let start = cursor
    var positions = 0
    while true {
      let current: (shard: DecodedShard, order: [UInt32])
      do {
        current = try shardAtCursor()
      } catch {
        // The sequences before a damaged shard must not be skipped when the batch is asked for again.
        cursor = start
        throw error
      }
      while cursor.sentence < current.order.count {
        let range = mode.range(of: Int(current.order[cursor.sentence]), in: current.shard)
        if positions > 0 && positions + range.count > budget { return }
        body(range, current.shard)
        positions += range.count
        cursor.sentence += 1
      }
      passEnds()
      if positions >= budget { return }
    }
  }

  /// Moves a cursor from the end of a shard or an epoch to the beginning of the next.
  private func passEnds() {
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

  /// Index in the manifest of the shard that the cursor is in.
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
    // The old shard is released before the new one is decoded: two are never in memory.
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
