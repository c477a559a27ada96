package import LMData
package import Model

/// Scores a split of a data set.
package struct Validator {
  private let evaluator: Evaluator
  private let dataSet: DataSet
  private let split: String
  private let mode: SequenceMode
  private let pieceTable: PieceTable
  private let positions: Int

  /// - Parameter positions: Positions scored at a time; bounds memory, no result depends on it.
  package init(
    model: Transformer, dataSet: DataSet, split: String, mode: SequenceMode = .sentences,
    pieceTable: PieceTable, positions: Int = Evaluator.defaultPositions
  ) {
    evaluator = Evaluator(model, mode: mode)
    self.dataSet = dataSet
    self.split = split
    self.mode = mode
    self.pieceTable = pieceTable
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
    var counter = StreamCounter(eos: dataSet.special.eos, pieces: pieceTable)
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
  package func forEachSequence(_ body: (SequenceScore) throws -> Bool) throws {
    var source = try EvaluationSource(
      dataSet: dataSet, split: split, mode: mode, budget: positions)
    while let batch = try source.nextBatch() {
      for score in try evaluator.score(batch) where try !body(score) { return }
    }
  }
}
