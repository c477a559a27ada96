import Communication
import Eval

extension Trainer {
  /// Scores the validation split, without dropout, in file order.
  ///
  /// - Returns: Whether it is the best so far.
  func validate() throws -> Bool {
    let tally = try Validator(
      model: model, dataSet: dataSet, split: config.data.validSplit, mode: config.data.mode,
      tokenTable: tokenTable, communicator: communicator
    ).tally(limit: config.report.validationSequences) { tell(.validating($0)) }
    guard tally.nats.isFinite else {
      tell(.validationNotFinite(step: state.step))
      return false
    }
    let validation = Validation(step: state.step, tally: tally)
    let isBest = state.best.map { tally.natsPerToken < $0.tally.natsPerToken } ?? true
    if isBest { state.best = validation }
    try communicator.onRoot {
      try writer?.append(
        Metrics(
          kind: "valid", step: state.step, tokens: state.tokens, natsPerToken: tally.natsPerToken,
          tokensCounted: tally.tokens + tally.sentences, wordPerplexity: tally.wordPerplexity,
          trainedSeconds: state.trainedSeconds))
    }
    tell(.validated(validation, isBest: isBest))
    return isBest
  }
}
