import Foundation

/// Sums and counts of scored text; every figure is divided out only when it is printed.
///
/// Λ is the sum of -ln p over every token and one `</s>` per sentence; `<s>` is given, never
/// scored. No figure depends on batch size or order.
package struct Tally: Codable, Sendable, Equatable {
  /// Λ, in nats.
  package var nats = 0.0
  /// Tokens without `</s>`.
  package var tokens = 0
  package var sentences = 0
  /// Words without `</s>`.
  package var words = 0
  /// UTF-8 bytes, one newline per sentence included.
  package var bytes = 0

  package init() {}

  package init(nats: Double, tokens: Int, sentences: Int, words: Int, bytes: Int) {
    self.nats = nats
    self.tokens = tokens
    self.sentences = sentences
    self.words = words
    self.bytes = bytes
  }

  /// Adds the sums of other text.
  package static func += (left: inout Tally, right: Tally) {
    left.nats += right.nats
    left.tokens += right.tokens
    left.sentences += right.sentences
    left.words += right.words
    left.bytes += right.bytes
  }

  /// exp(Λ / (words + sentences)): the benchmark's figure, 159,658 units on its test shard.
  package var wordPerplexity: Double { exp(nats / Double(words + sentences)) }

  /// exp(Λ / (tokens + sentences)).
  package var tokenPerplexity: Double { exp(nats / Double(tokens + sentences)) }

  /// Λ / (tokens + sentences), in nats.
  package var natsPerToken: Double { nats / Double(tokens + sentences) }

  /// Λ / (ln 2 · bytes).
  package var bitsPerByte: Double { nats / (log(2) * Double(bytes)) }
}
