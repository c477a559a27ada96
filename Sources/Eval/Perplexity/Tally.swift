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
