import Foundation

/// Sums and counts of scored text; every figure is divided out only when it is printed.
///
/// Λ is the sum of -ln p over every piece and one `</s>` per sentence; `<s>` is given, never
/// scored. No figure depends on batch size or order.
package struct Tally: Codable, Sendable, Equatable {
  /// Λ, in nats.
  package var nats = 0.0
  /// Pieces without `</s>`.
  package var pieces = 0
  package var sentences = 0
  /// Words without `</s>`.
  package var words = 0
  /// UTF-8 bytes, one newline per sentence included.
  package var bytes = 0

  package init() {}

  package init(nats: Double, pieces: Int, sentences: Int, words: Int, bytes: Int) {
    self.nats = nats
    self.pieces = pieces
    self.sentences = sentences
    self.words = words
    self.bytes = bytes
  }

  /// Adds the sums of other text.
  package static func += (left: inout Tally, right: Tally) {
    left.nats += right.nats
    left.pieces += right.pieces
    left.sentences += right.sentences
    left.words += right.words
    left.bytes += right.bytes
  }

  /// exp(Λ / (words + sentences)): the benchmark's figure, 159,658 units on its test shard.
  package var wordPerplexity: Double { exp(nats / Double(words + sentences)) }

  /// exp(Λ / (pieces + sentences)).
  package var piecePerplexity: Double { exp(nats / Double(pieces + sentences)) }

  /// Λ / (pieces + sentences), in nats.
  package var natsPerPiece: Double { nats / Double(pieces + sentences) }

  /// Λ / (ln 2 · bytes).
  package var bitsPerByte: Double { nats / (log(2) * Double(bytes)) }
}

extension Tally {
  /// Standard error of the word perplexity by resampling sentences with replacement.
  ///
  /// The sentences are sorted first, so the figure does not depend on their order.
  ///
  /// - Parameters:
  ///   - sentences: The tally of every sentence.
  ///   - resamples: Draws of the whole set; fewer are made for very large sets.
  package static func bootstrapStandardError(
    _ sentences: [Tally], resamples: Int = 1_000, seed: UInt64 = 1
  ) -> Double {
    guard sentences.count > 1 else { return .nan }
    let units = sentences.map { (nats: $0.nats, words: Double($0.words + $0.sentences)) }
      .sorted { ($0.nats, $0.words) < ($1.nats, $1.words) }
    let draws = max(100, min(resamples, 50_000_000 / units.count))
    var state = seed
    var sum = 0.0
    var sumOfSquares = 0.0
    // Deviations from the point estimate keep the variance free of cancellation.
    let center = perplexity(units.lazy.map { $0 })
    for _ in 0..<draws {
      var nats = 0.0
      var words = 0.0
      for _ in 0..<units.count {
        state = state &+ 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        z ^= z >> 31
        let unit = units[Int(z.multipliedFullWidth(by: UInt64(units.count)).high)]
        nats += unit.nats
        words += unit.words
      }
      let deviation = exp(nats / words) - center
      sum += deviation
      sumOfSquares += deviation * deviation
    }
    let mean = sum / Double(draws)
    return max(0, (sumOfSquares / Double(draws) - mean * mean) * Double(draws) / Double(draws - 1))
      .squareRoot()
  }

  private static func perplexity(_ units: some Sequence<(nats: Double, words: Double)>) -> Double {
    let total = units.reduce((0.0, 0.0)) { ($0.0 + $1.nats, $0.1 + $1.words) }
    return exp(total.0 / total.1)
  }
}
