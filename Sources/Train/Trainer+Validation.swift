import Eval

extension Trainer {
  /// Scores the validation split, without dropout, in file order.
  ///
  /// - Returns: Whether it is the best so far.
  func validate(log: RunLogs) throws -> Bool {
    let tally = try Validator(
      model: model, dataSet: dataSet, split: config.data.validSplit, mode: config.data.mode,
      pieceTable: pieceTable
    ).tally(limit: config.report.validationSequences) { report(.validating($0)) }
    guard tally.nats.isFinite else {
      report(.validationNotFinite(step: state.step))
      return false
    }
    let validation = Validation(step: state.step, tally: tally)
    let isBest = state.best.map { tally.natsPerPiece < $0.tally.natsPerPiece } ?? true
    if isBest { state.best = validation }
    try log.append(
      Metrics(
        kind: "valid", step: state.step, pieces: state.pieces, natsPerPiece: tally.natsPerPiece,
        piecesCounted: tally.pieces + tally.sentences, wordPerplexity: tally.wordPerplexity,
        trainedSeconds: state.trainedSeconds))
    report(.validated(validation, isBest: isBest))
    return isBest
  }
}
