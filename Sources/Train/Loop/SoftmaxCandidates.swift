import LMData
import Model

/// The loss of training over some of the vocabulary, and over all of it at the end.
package struct SampledSoftmaxConfig: Codable, Sendable, Equatable {
  /// Tokens that the loss of a step normalises over; more where a step has more targets of its own.
  package var candidates: Int
  /// Share of the run, at its end, whose loss normalises over the whole vocabulary.
  package var fullShare = 0.15

  package init(candidates: Int) { self.candidates = candidates }
}

/// Which tokens the loss of a step normalises over: its own targets, and as many others as there is room
/// for, in a sweep that comes round to every token.
///
/// They follow from the seed, the number of the step and its targets alone: micro-batches, shares and
/// ranks of a step have the same.
package struct SoftmaxCandidates: Sendable {
  private let count: Int
  /// The vocabulary in a seeded order.
  private let order: [UInt32]

  /// - Parameters:
  ///   - config: How many.
  ///   - vocabularySize: Tokens.
  ///   - seed: Of the run.
  package init(_ config: SampledSoftmaxConfig, vocabularySize: Int, seed: UInt64) {
    count = min(config.candidates, vocabularySize)
    order = SeededOrder(seed: seed, 0x5AFE, 0).permutation(vocabularySize)
  }

  /// The candidates of a step, ascending.
  ///
  /// - Parameters:
  ///   - step: Its number, from 1.
  ///   - targets: Of its whole batch.
  package func ids(step: Int, targets: [Int32]) -> [Int32] {
    var isTaken = Array(repeating: false, count: order.count)
    var taken = 0
    func take(_ id: Int) {
      if isTaken[id] { return }
      isTaken[id] = true
      taken += 1
    }
    for target in targets { take(Int(target)) }
    // Places that are multiples of the golden ratio leave no gap for long, however many others a step has
    // room for.
    let fraction = UInt64(step) &* 0x9E37_79B9_7F4A_7C15
    let start = Int(fraction.multipliedFullWidth(by: UInt64(order.count)).high)
    var place = start
    while taken < count {
      take(Int(order[place]))
      place = place + 1 == order.count ? 0 : place + 1
    }
    return isTaken.indices.filter { isTaken[$0] }.map(Int32.init)
  }
}

extension RunConfig {
  /// Tokens that the loss of a step normalises over; nil for the whole vocabulary.
  package func candidates(step: Int) -> Int? {
    guard let sampledSoftmax else { return nil }
    let full = (sampledSoftmax.fullShare * Double(steps)).rounded(.up)
    return step <= steps - Int(full) ? sampledSoftmax.candidates : nil
  }

  /// Share of the steps whose loss is sampled.
  var sampledShare: Double {
    guard let sampledSoftmax else { return 0 }
    return 1 - ((sampledSoftmax.fullShare * Double(steps)).rounded(.up) / Double(steps))
  }

  /// Whether a step is the first after those of a sampled loss, which was smaller.
  func isFirstFullStep(_ step: Int) -> Bool {
    step > 1 && candidates(step: step) == nil && candidates(step: step - 1) != nil
  }

  /// Candidates of any step at most: where it has more targets than there is room for, these.
  ///
  /// - Parameter targets: Of the largest step.
  func mostCandidates(targets: Int) -> Int? {
    sampledSoftmax.map { min(model.vocabularySize, max($0.candidates, targets)) }
  }
}
