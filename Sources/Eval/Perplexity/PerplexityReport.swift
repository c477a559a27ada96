import Foundation
package import Tensor

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
  /// What products read and wrote; nil if it was float32.
  package var precision: Precision?
  /// Words that were scored as `<UNK>`; nil if no list of words was used.
  package var unknownWords: Int?
  /// Checksums of the text before any word was replaced, if known.
  package var textSums: TextSums?
  /// What a reader of the figures should know, a sentence each.
  package var notes: [String] = []
  /// What the figures of tokens were broken down by, in the order in which it was asked for.
  package var breakdowns: [Breakdown] = []
  /// The tally of every source that has a sentence, by its number, if they were to be told apart.
  package var sources: [Int: Tally] = [:]
  /// The figures of every file, if they were to be told apart.
  package var files: [SourceFigures] = []
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
    case sampled, precision
    case unknownWords = "out_of_vocabulary"
    case notes, files
    case byFrequency = "by_frequency"
    case byPosition = "by_position"
  }

  /// Writes a tally and the figures that follow from it.
  static func encode(_ tally: Tally, to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(finite(tally.wordPerplexity), forKey: .wordPerplexity)
    try fields.encode(finite(tally.tokenPerplexity), forKey: .tokenPerplexity)
    try fields.encode(finite(tally.bitsPerByte), forKey: .bitsPerByte)
    try fields.encode(tally.nats, forKey: .nats)
    try fields.encode(tally.words, forKey: .words)
    try fields.encode(tally.tokens, forKey: .tokens)
    try fields.encode(tally.sentences, forKey: .sentences)
    try fields.encode(tally.bytes, forKey: .bytes)
  }

  /// JSON has no infinity: a perplexity past the largest Double is null, and so is what is not defined.
  private static func finite(_ value: Double?) -> Double? {
    value.flatMap { $0.isFinite ? $0 : nil }
  }

  package func encode(to encoder: any Encoder) throws {
    try Self.encode(tally, to: encoder)
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(Self.finite(standardError), forKey: .standardError)
    try fields.encodeIfPresent(sampled, forKey: .sampled)
    try fields.encodeIfPresent(precision, forKey: .precision)
    try fields.encodeIfPresent(unknownWords, forKey: .unknownWords)
    if !notes.isEmpty { try fields.encode(notes, forKey: .notes) }
    if !files.isEmpty { try fields.encode(files, forKey: .files) }
    for breakdown in breakdowns {
      try fields.encode(breakdown, forKey: breakdown.isByPosition ? .byPosition : .byFrequency)
    }
  }
}
