import Deterministic
import Foundation
import Tensor

/// Two models on the same sentences: the difference of their word perplexities and its uncertainty,
/// by paired bootstrap.
///
/// Sentences are drawn with replacement, the same for both models, so what makes a sentence hard
/// for both cancels. Only the text is resampled: the spread over training seeds is not in it.
///
/// Source: Berg-Kirkpatrick, Burkett and Klein, An empirical investigation of statistical
/// significance in NLP (EMNLP 2012), section 2.
package struct PairedBootstrap: Sendable, Equatable, Encodable {
  /// A figure of the first model minus that of the second.
  package struct Difference: Sendable, Equatable, Encodable {
    /// On all sentences.
    package let value: Double
    /// Standard deviation over the draws.
    package let standardError: Double
    /// Ends of the middle 95 % of the draws.
    package let low: Double
    package let high: Double

    private enum Key: String, CodingKey {
      case value, low, high
      case standardError = "standard_error"
    }

    package func encode(to encoder: any Encoder) throws {
      var fields = encoder.container(keyedBy: Key.self)
      // JSON has no infinity; the perplexity of an untrained model may be past the largest Double.
      for (key, number) in [
        (Key.value, value), (.standardError, standardError), (.low, low), (.high, high),
      ] {
        try fields.encode(number.isFinite ? number : nil, forKey: key)
      }
    }
  }

  /// Λ over words with `</s>`.
  package let natsPerWord: Difference
  package let wordPerplexity: Difference
  /// Two-sided: how often a draw is off by at least the difference, if in truth there were none.
  package let probability: Double
  package let sentences: Int
  package let draws: Int
  package let seed: UInt64

  private enum CodingKeys: String, CodingKey {
    case sentences, draws, seed
    case natsPerWord = "nats_per_word"
    case wordPerplexity = "word_perplexity"
    case probability = "p"
  }

  /// - Parameters:
  ///   - first: Sentences in the order of the text.
  ///   - second: The same sentences under the other model.
  ///   - draws: Resamples of the whole set; fewer, but at least 1,000, for very large sets.
  ///   - seed: Of the draws.
  /// - Returns: Nil for fewer than two sentences.
  package init?(
    _ first: [SentenceSum], _ second: [SentenceSum], draws: Int = 10_000, seed: UInt64 = 1
  ) {
    precondition(
      first.count == second.count && zip(first, second).allSatisfy { $0.units == $1.units },
      "the sentences are not the same")
    guard first.count > 1 else { return nil }
    // The order of the lines must not matter, not even for the last bit.
    let pairs = zip(first, second).map { Pair(first: $0.nats, second: $1.nats, units: $0.units) }
      .sorted { ($0.first, $0.second, $0.units) < ($1.first, $1.second, $1.units) }
    let count = min(draws, max(1_000, 200_000_000 / pairs.count))
    var samples = [Means](repeating: Means(), count: count)
    samples.withUnsafeMutableBufferPointer { buffer in
      nonisolated(unsafe) let samples = buffer
      parallelFor(count) { draw in
        samples[draw] = Self.resampled(pairs, CounterRandom(seed: seed, 0x9A1B, UInt64(draw)))
      }
    }
    let whole = Means(pairs)
    natsPerWord = Self.difference(whole, samples) { $0.first - $0.second }
    wordPerplexity = Self.difference(whole, samples) { exp($0.first) - exp($0.second) }
    let observed = whole.first - whole.second
    let extreme = samples.count { abs($0.first - $0.second - observed) >= abs(observed) }
    probability = Double(extreme + 1) / Double(count + 1)
    sentences = pairs.count
    self.draws = count
    self.seed = seed
  }

  private struct Pair: Sendable {
    let first: Double
    let second: Double
    let units: Int
  }

  /// Nats per word of both models.
  private struct Means: Sendable {
    var first = 0.0
    var second = 0.0

    init() {}

    init(_ pairs: [Pair]) {
      let units = Double(pairs.reduce(0) { $0 + $1.units })
      first = pairs.reduce(0) { $0 + $1.first } / units
      second = pairs.reduce(0) { $0 + $1.second } / units
    }
  }

  private static func resampled(_ pairs: [Pair], _ random: CounterRandom) -> Means {
    pairs.withUnsafeBufferPointer { pairs in
      var means = Means()
      var units = 0
      for index in 0..<pairs.count {
        let bits = random.bits(UInt64(index))
        let pair = pairs[Int(bits.multipliedFullWidth(by: UInt64(pairs.count)).high)]
        means.first += pair.first
        means.second += pair.second
        units += pair.units
      }
      means.first /= Double(units)
      means.second /= Double(units)
      return means
    }
  }

  private static func difference(
    _ whole: Means, _ samples: [Means], _ figure: (Means) -> Double
  ) -> Difference {
    let value = figure(whole)
    let sorted = samples.map(figure).sorted()
    let mean = sorted.reduce(0, +) / Double(sorted.count)
    let squares = sorted.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    let tail = Int(0.025 * Double(sorted.count))
    return Difference(
      value: value, standardError: (squares / Double(sorted.count - 1)).squareRoot(),
      low: sorted[tail], high: sorted[sorted.count - 1 - tail])
  }
}
