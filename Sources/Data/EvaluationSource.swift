/// The sequences of a split once, in the order of the files; none is dropped or truncated.
package struct EvaluationSource: Sendable {
  private let dataSet: DataSet
  private let shards: [ShardInfo]
  private let mode: SequenceMode
  private let budget: Int
  private var shard = 0
  private var sequence = 0
  private var decoded: DecodedShard?

  /// Counts of the whole split, as the manifest states them.
  package let totals: Totals

  /// A source at the beginning of a split.
  ///
  /// - Parameters:
  ///   - dataSet: Where the shards are.
  ///   - split: Its name, for example `test`.
  ///   - mode: Sentences or windows.
  ///   - budget: Positions that a batch is filled up to.
  package init(
    dataSet: DataSet, split: String, mode: SequenceMode, budget: Int
  ) throws(DataSetError) {
    precondition(budget > 0, "batches of \(budget) positions")
    shards = try dataSet.split(split)
    self.dataSet = dataSet
    self.mode = mode
    self.budget = budget
    totals = dataSet.manifest.totals(of: split)
  }

  /// Sequences of the whole split.
  package var sequences: Int { shards.reduce(0) { $0 + mode.count(in: $1) } }

  /// The next batch, or `nil` after the last.
  ///
  /// A batch is filled with whole sequences until the next one would pass the budget; a sequence
  /// longer than the budget is a batch by itself.
  package mutating func nextBatch() throws(ShardError) -> Batch? {
    var batch = Batch()
    while shard < shards.count {
      let count = mode.count(in: shards[shard])
      if sequence < count {
        let decoded = try current()
        while sequence < count {
          let range = mode.range(of: sequence, in: decoded)
          if batch.sequences > 0 && batch.positions + range.count > budget { return batch }
          let previous = mode.previous(to: range, in: decoded, bos: dataSet.special.bos)
          batch.append(
            previous: previous, targets: decoded.ids[range], context: mode.context(of: sequence))
          sequence += 1
        }
      }
      shard += 1
      sequence = 0
      decoded = nil
    }
    return batch.sequences == 0 ? nil : batch
  }

  private mutating func current() throws(ShardError) -> DecodedShard {
    if let decoded { return decoded }
    let reader = try dataSet.reader(for: shards[shard])
    let shard = try DecodedShard(reader: reader, eos: dataSet.special.eos)
    decoded = shard
    return shard
  }
}
