import Communication
import Eval
import Model
import Tensor

extension Trainer {
  /// Scores the validation split, without dropout, in file order.
  ///
  /// - Returns: Whether it is the best so far.
  func validate() throws -> Bool {
    let tally = try validationTally()
    let isBest = try take(tally)
    if config.report.patience != nil {
      state.validationsSinceBest = isBest ? nil : (state.validationsSinceBest ?? 0) + 1
    }
    try validateAverage()
    return isBest
  }

  private func validationTally() throws -> Tally {
    try Validator(
      model: model, dataSet: dataSet, split: config.data.validSplit, mode: config.data.mode,
      tokenTable: tokenTable, communicator: communicator
    ).tally(limit: config.report.validationSequences) { tell(.validating($0)) }
  }

  /// Notes a validation of the weights.
  ///
  /// - Returns: Whether it is the best so far.
  private func take(_ tally: Tally) throws -> Bool {
    guard tally.nats.isFinite else {
      tell(.validationNotFinite(step: state.step))
      return false
    }
    let validation = Validation(step: state.step, tally: tally)
    let isBest = state.best.map { tally.natsPerToken < $0.tally.natsPerToken } ?? true
    if isBest { state.best = validation }
    try log(validation, kind: "valid")
    tell(.validated(validation, isBest: isBest))
    return isBest
  }

  /// Scores the split with the running average in place of the weights, which have their bits again
  /// afterwards; decides nothing.
  private func validateAverage() throws {
    guard let average else { return }
    // The gradient has been used, and is as large.
    let weights = gradient.gradients
    kernels.copy(parameters.all, to: weights.all)
    defer {
      kernels.copy(weights.all, to: parameters.all)
      model.weightsChanged()
    }
    try average.copy(to: parameters)
    model.weightsChanged()
    let tally = try validationTally()
    guard tally.nats.isFinite else { return }
    let validation = Validation(step: state.step, tally: tally)
    try log(validation, kind: Metrics.averageKind)
    tell(.averageValidated(validation))
  }

  private func log(_ validation: Validation, kind: String) throws {
    let tally = validation.tally
    try communicator.onRoot {
      try writer?.append(
        Metrics(
          kind: kind, step: state.step, tokens: state.tokens, natsPerToken: tally.natsPerToken,
          tokensCounted: tally.tokens + tally.sentences, wordPerplexity: tally.wordPerplexity,
          trainedSeconds: state.trainedSeconds))
    }
  }
}
