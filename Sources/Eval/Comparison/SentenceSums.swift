import Deterministic
import Foundation
import Tensor

/// What one sentence adds to the word perplexity: its nats and its words with `</s>`.
package struct SentenceSum: Sendable, Equatable {
  package let nats: Double
  package let units: Int

  package init(nats: Double, units: Int) {
    self.nats = nats
    self.units = units
  }
}

/// Sums over sentences that do not depend on their order.
///
/// Floating-point addition is not associative; the sentences are therefore sorted before they are
/// added, and every permutation of the lines gives the same bits.
package struct SentenceSums: Sendable {
  /// Sorted by nats, then by units.
  private let sentences: [SentenceSum]

  package init(_ sentences: [SentenceSum]) {
    self.sentences = sentences.sorted { ($0.nats, $0.units) < ($1.nats, $1.units) }
  }

  /// Nats of all sentences, the smallest added first.
  package var nats: Double { sentences.reduce(0) { $0 + $1.nats } }

  /// Standard error of exp(nats / units) by resampling sentences with replacement, or nil for
  /// fewer than two sentences or a perplexity past the largest Double.
  ///
  /// Source: Efron, Bootstrap methods: another look at the jackknife, Annals of Statistics 7 (1979).
  ///
  /// - Parameters:
  ///   - resamples: Resamples of the whole set; fewer, but at least 100, for very large sets.
  ///   - seed: Of the draws.
  package func bootstrapStandardError(resamples: Int = 1_000, seed: UInt64 = 1) -> Double? {
    guard sentences.count > 1 else { return nil }
    let draws = max(100, min(resamples, 50_000_000 / sentences.count))
    let center = exp(nats / Double(sentences.reduce(0) { $0 + $1.units }))
    // Deviations from the point estimate keep the variance free of cancellation.
    var deviations = [Double](repeating: 0, count: draws)
    deviations.withUnsafeMutableBufferPointer { buffer in
      nonisolated(unsafe) let deviations = buffer
      parallelFor(draws) { draw in
        let random = CounterRandom(seed: seed, UInt64(draw))
        deviations[draw] = resampled(random) - center
      }
    }
    let mean = deviations.reduce(0, +) / Double(draws)
    let squares = deviations.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    let error = (squares / Double(draws - 1)).squareRoot()
    return error.isFinite ? error : nil
  }

  /// The perplexity of as many sentences drawn with replacement.
  private func resampled(_ random: CounterRandom) -> Double {
    sentences.withUnsafeBufferPointer { sentences in
      var nats = 0.0
      var units = 0
      for index in 0..<sentences.count {
        let bits = random.bits(UInt64(index))
        let sentence = sentences[Int(bits.multipliedFullWidth(by: UInt64(sentences.count)).high)]
        nats += sentence.nats
        units += sentence.units
      }
      return exp(nats / Double(units))
    }
  }
}
