package import Communication
package import LMData
package import Model

/// Scores a split of a data set.
package struct Validator {
  private let evaluator: Evaluator
  private let dataSet: DataSet
  private let split: String
  private let mode: SequenceMode
  private let tokenTable: TokenTable
  private let positions: Int
  private let communicator: any Communicator

  /// - Parameters:
  ///   - model: Scores on this rank.
  ///   - dataSet: Has the split.
  ///   - split: Its name.
  ///   - mode: What a sequence is.
  ///   - tokenTable: Spells the ids, to count words and bytes.
  ///   - positions: Positions scored at a time; bounds memory, no result depends on it.
  ///   - wordStarts: As for ``Evaluator``.
  ///   - sharesTokens: As for ``Evaluator``.
  ///   - communicator: The ranks that score it together, batches in turn; all get the same figures.
  package init(
    model: Transformer, dataSet: DataSet, split: String, mode: SequenceMode = .sentences,
    tokenTable: TokenTable, positions: Int = Evaluator.defaultPositions,
    wordStarts: WordStarts? = nil, sharesTokens: Bool = false,
    communicator: any Communicator = SingleProcess()
  ) {
    self.communicator = communicator
    evaluator = Evaluator(model, mode: mode, wordStarts: wordStarts, sharesTokens: sharesTokens)
    self.dataSet = dataSet
    self.split = split
    self.mode = mode
    self.tokenTable = tokenTable
    self.positions = positions
  }

  /// The tally of the first `limit` sequences of the split, or of all if it is 0.
  ///
  /// - Parameters:
  ///   - limit: Sequences to score, from the start; 0 for all.
  ///   - progress: Called after every sequence with the number scored so far.
  package func tally(limit: Int = 0, progress: (Int) -> Void = { _ in }) throws -> Tally {
    var total = Tally()
    var count = 0
    var counter = StreamCounter(eos: dataSet.special.eos, tokens: tokenTable)
    try forEachSequence { score in
      total += counter.add(score)
      count += 1
      progress(count)
      return limit == 0 || count < limit
    }
    total += counter.rest()
    return total
  }

  /// Calls `body` with every scored sequence, in file order, until it returns false.
  ///
  /// Sequences that another rank has scored come without the figures of their targets, unless tokens are
  /// shared.
  package func forEachSequence(_ body: (SequenceScore) throws -> Bool) throws {
    var source = try EvaluationSource(
      dataSet: dataSet, split: split, mode: mode, budget: positions)
    while true {
      var batches: [Batch] = []
      try communicator.together {
        while batches.count < communicator.size, let batch = try source.nextBatch() {
          batches.append(batch)
        }
      }
      if batches.isEmpty { return }
      for score in try evaluator.score(batches, communicator) where try !body(score) { return }
    }
  }
}
