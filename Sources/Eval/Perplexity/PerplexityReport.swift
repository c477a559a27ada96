import Foundation

/// The figures of one evaluation, which are always reported together.
///
/// As JSON it is one object with the keys below; words and tokens are those of the text, without
/// the `</s>` that is scored after every sentence.
package struct PerplexityReport: Sendable, Equatable {
  package let tally: Tally
  /// Of the word perplexity, by bootstrap over sentences; nil where it is not defined.
  package let standardError: Double?
  /// Set if the model's attention is a random estimate; the figures above are then those of its
  /// expectation.
  package var sampled: EstimateSpread?
  /// Words that were scored as `<UNK>`; nil if no list of words was used.
  package var unknownWords: Int?
  /// Checksums of the text before any word was replaced, if known.
  package var textSums: TextSums?
  /// What a reader of the figures should know, a sentence each.
  package var notes: [String] = []
  /// Every sentence in the order of the text; none in stream mode.
  package var sentences: [SentenceSum] = []

  package init(tally: Tally, standardError: Double?) {
    self.tally = tally
    self.standardError = standardError
  }

  /// Whether the figures are equal bit for bit; the order of the sentences does not matter.
  package static func == (left: PerplexityReport, right: PerplexityReport) -> Bool {
    left.tally == right.tally && left.standardError == right.standardError
      && left.sampled == right.sampled && left.unknownWords == right.unknownWords
  }
}

extension PerplexityReport: Encodable {
  private enum Key: String, CodingKey {
    case wordPerplexity = "word_perplexity"
    case tokenPerplexity = "token_perplexity"
    case bitsPerByte = "bits_per_byte"
    case nats, words, tokens, sentences, bytes
    case standardError = "standard_error"
    case sampled
    case unknownWords = "out_of_vocabulary"
    case notes
  }

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    // JSON has no infinity: a perplexity past the largest Double is null, and so is an error that
    // is not defined.
    func finite(_ value: Double?) -> Double? { value.flatMap { $0.isFinite ? $0 : nil } }
    try fields.encode(finite(tally.wordPerplexity), forKey: .wordPerplexity)
    try fields.encode(finite(tally.tokenPerplexity), forKey: .tokenPerplexity)
    try fields.encode(finite(tally.bitsPerByte), forKey: .bitsPerByte)
    try fields.encode(tally.nats, forKey: .nats)
    try fields.encode(tally.words, forKey: .words)
    try fields.encode(tally.tokens, forKey: .tokens)
    try fields.encode(tally.sentences, forKey: .sentences)
    try fields.encode(tally.bytes, forKey: .bytes)
    try fields.encode(finite(standardError), forKey: .standardError)
    try fields.encodeIfPresent(sampled, forKey: .sampled)
    try fields.encodeIfPresent(unknownWords, forKey: .unknownWords)
    if !notes.isEmpty { try fields.encode(notes, forKey: .notes) }
  }
}
