import Foundation

/// Linear interpolation of two models of the same words: p = w · p1 + (1 - w) · p2, word by word.
///
/// Source: Jelinek and Mercer, Interpolated estimation of Markov source parameters from sparse data (1980).
package enum Mixture {
  /// What one word, or one `</s>`, has under both.
  package struct Pair: Sendable {
    /// -ln p of the first model.
    package var first: Double
    /// -ln p of the second; infinite where it gives the word nothing.
    package var second: Double

    package init(first: Double, second: Double) {
      self.first = first
      self.second = second
    }
  }

  /// -ln of the mixture.
  ///
  /// - Parameters:
  ///   - pair: Nats of both.
  ///   - weight: Of the first model, 0 to 1.
  package static func nats(_ pair: Pair, weight: Double) -> Double {
    // The larger term in front, so that neither underflows.
    let first = log(weight) - pair.first
    let second = log(1 - weight) - pair.second
    let (most, least) = (max(first, second), min(first, second))
    return most == -.infinity ? .infinity : -(most + log1p(exp(least - most)))
  }

  /// The weight of the first model under which the words are most probable, by expectation-maximisation.
  ///
  /// The likelihood is concave in the weight, so that the limit does not depend on the beginning. A step is
  /// the mean over the words of the share that the first model has in their probability.
  ///
  /// - Parameter pairs: Of a text that is not the one to be measured; at least one.
  /// - Returns: The weight to within about 1e-6.
  package static func weight(_ pairs: [Pair]) -> Double {
    precondition(!pairs.isEmpty, "no words to tune the weight on")
    // p2 / p1 of every word; a word of neither says nothing.
    let ratios = pairs.filter { $0.first < .infinity || $0.second < .infinity }.map {
      exp(min(700, max(-700, $0.first - $0.second)))
    }
    var weight = 0.5
    for _ in 0..<10_000 {
      let sum = ratios.reduce(0) { $0 + weight / (weight + (1 - weight) * $1) }
      let next = sum / Double(max(1, ratios.count))
      defer { weight = next }
      if abs(next - weight) < 1e-9 { break }
    }
    return weight
  }
}
