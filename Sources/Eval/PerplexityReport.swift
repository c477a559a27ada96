import Foundation

/// The figures of one evaluation, always printed together.
///
/// As JSON it is one object with the keys below; words and pieces are those of the text, without
/// the `</s>` that is scored after every sentence.
package struct PerplexityReport: Sendable, Equatable {
  package let tally: Tally
  /// Of the word perplexity, by bootstrap over sentences; nil where it is not defined.
  package let standardError: Double?

  package init(tally: Tally, standardError: Double?) {
    self.tally = tally
    self.standardError = standardError
  }

  /// A figure and what it is an average over.
  package struct Figure: Sendable, Equatable {
    package let name: String
    package let value: Double
    package let count: String
  }

  /// Each figure with its count.
  package var figures: [Figure] {
    func counts(_ what: String, _ count: Int) -> String {
      "over \(Self.grouped(count + tally.sentences)) \(what) "
        + "(\(Self.grouped(count)) + \(Self.grouped(tally.sentences)) </s>)"
    }
    return [
      Figure(
        name: "word perplexity", value: tally.wordPerplexity, count: counts("words", tally.words)),
      Figure(
        name: "piece perplexity", value: tally.piecePerplexity,
        count: counts("pieces", tally.pieces)),
      Figure(
        name: "bits per byte", value: tally.bitsPerByte,
        count: "over \(Self.grouped(tally.bytes)) bytes "
          + "(\(Self.grouped(tally.sentences)) newlines included)"),
    ]
  }

  /// `159658` as `159,658`.
  package static func grouped(_ count: Int) -> String {
    let digits = String(count.magnitude)
    var text = count < 0 ? "-" : ""
    for (index, digit) in digits.enumerated() {
      if index > 0 && (digits.count - index) % 3 == 0 { text += "," }
      text.append(digit)
    }
    return text
  }
}

extension PerplexityReport: Encodable {
  private enum Key: String, CodingKey {
    case wordPerplexity = "word_perplexity"
    case piecePerplexity = "piece_perplexity"
    case bitsPerByte = "bits_per_byte"
    case nats, words, pieces, sentences, bytes
    case standardError = "standard_error"
  }

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    // JSON has no infinity: a perplexity past the largest Double is null, and so is an error that
    // is not defined.
    func finite(_ value: Double?) -> Double? { value.flatMap { $0.isFinite ? $0 : nil } }
    try fields.encode(finite(tally.wordPerplexity), forKey: .wordPerplexity)
    try fields.encode(finite(tally.piecePerplexity), forKey: .piecePerplexity)
    try fields.encode(finite(tally.bitsPerByte), forKey: .bitsPerByte)
    try fields.encode(tally.nats, forKey: .nats)
    try fields.encode(tally.words, forKey: .words)
    try fields.encode(tally.pieces, forKey: .pieces)
    try fields.encode(tally.sentences, forKey: .sentences)
    try fields.encode(tally.bytes, forKey: .bytes)
    try fields.encode(finite(standardError), forKey: .standardError)
  }
}
