import Deterministic
import Foundation

/// An n-gram model with backoff, as an ARPA file has it.
///
/// With the words before it h = (w1, …, wk), the probability of a word w is that of the longest n-gram that
/// is in the model, times the backoff weights of the longer contexts that are:
///
///     log10 p(w | h) = prob(h w)                              if h w is in the model
///                      backoff(h) + log10 p(w | w2, …, wk)    otherwise; no backoff(h) counts as 0
///
/// Sums are Float32 in the order of KenLM's, so that its figures come out.
///
/// Source: Katz, Estimation of probabilities from sparse data for the language model component of a speech
/// recognizer (1987); the format is that of SRILM's ngram-format(5).
package final class NgramModel {
  package let order: Int
  /// N-grams of every order, from 1.
  package let counts: [Int]
  private let tables: [NgramTable]

  init(tables: [NgramTable]) {
    self.tables = tables
    order = tables.count
    counts = tables.map(\.count)
  }

  /// Bytes that a model of these counts takes.
  package static func bytes(counts: [Int]) -> Int {
    counts.reduce(0) { $0 + NgramTable.bytes(count: $1) }
  }

  // MARK: Words

  /// A word as the tables know it: a hash of its bytes.
  package struct Word: Sendable, Equatable {
    let hash: UInt64

    package static let start = Word(hash: Self.hash("<s>".utf8))
    package static let end = Word(hash: Self.hash("</s>".utf8))
    /// What stands for every word outside the vocabulary.
    package static let unknown = Word(hash: Self.hash("<unk>".utf8))

    private init(hash: UInt64) { self.hash = hash }

    /// A word of an ARPA file; the marks are known in capitals as well.
    init(arpa bytes: UnsafeBufferPointer<UInt8>) {
      let isMark = bytes.count <= 5 && bytes.first == UInt8(ascii: "<")
      self = isMark ? Self.mark(bytes) : Word(hash: Self.hash(bytes))
    }

    private static func mark(_ bytes: UnsafeBufferPointer<UInt8>) -> Word {
      Word(
        hash: ["<S>", "</S>", "<UNK>"].contains { $0.utf8.elementsEqual(bytes) }
          ? hash(bytes.lazy.map { (0x41...0x5A).contains($0) ? $0 + 0x20 : $0 }) : hash(bytes))
    }

    /// A word of a text: of the marks only that of unknown words may stand there.
    init?(text bytes: [UInt8]) {
      let word = bytes.withUnsafeBufferPointer { Word(arpa: $0) }
      if word == Self.start || word == Self.end { return nil }
      self = word
    }

    /// FNV-1a with a last mixing step; never 0, which an empty place has.
    private static func hash(_ bytes: some Sequence<UInt8>) -> UInt64 {
      var hash: UInt64 = 0xCBF2_9CE4_8422_2325
      for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
      return max(1, SplitMix64.mix(hash))
    }
  }

  /// The hash of an n-gram: that of its words but the last, and the last.
  static func key(_ context: UInt64, _ word: Word) -> UInt64 {
    max(1, SplitMix64.mix(context &* 0x9E37_79B9_7F4A_7C15 ^ word.hash))
  }

  /// The hash of no word, from which those of n-grams begin.
  static let empty: UInt64 = 0

  // MARK: Probabilities

  /// What one word of a sentence has.
  package struct Score: Sendable {
    /// log10 of its probability; that of the mark of unknown words where it is not in the vocabulary.
    package let log10: Float
    /// Whether it is in the vocabulary, or stands as the mark of unknown words in the text itself.
    package let isKnown: Bool
  }

  /// log10 p of the mark of unknown words in a model without it, as KenLM has it.
  static let missingUnknown: Float = -100

  /// The scores of the words of a sentence and, last, of its `</s>`.
  ///
  /// - Parameter words: Bytes of the words, without `</s>`.
  package func scores(_ words: [[UInt8]]) -> [Score] {
    var history: [Word] = [.start]
    var scores: [Score] = []
    scores.reserveCapacity(words.count + 1)
    for bytes in words {
      let word = Word(text: bytes)
      let known = word.flatMap { tables[0].find(Self.key(Self.empty, $0)) == nil ? nil : $0 }
      scores.append(Score(log10: log10(known ?? .unknown, after: history), isKnown: known != nil))
      history.append(known ?? .unknown)
      if history.count >= order { history.removeFirst(history.count - max(1, order - 1)) }
    }
    scores.append(Score(log10: log10(.end, after: history), isKnown: true))
    return scores
  }

  /// log10 of the probability of a word after others, of which the last `order` - 1 count.
  private func log10(_ word: Word, after history: [Word]) -> Float {
    let context = history.suffix(order - 1)
    var backoff: Float = 0
    for first in context.indices {
      let hash = context[first...].reduce(Self.empty, Self.key)
      let length = context.endIndex - first
      if let found = tables[length].find(Self.key(hash, word)) {
        return found.probability + backoff
      }
      backoff += tables[length - 1].find(hash)?.backoff ?? 0
    }
    let unigram = tables[0].find(Self.key(Self.empty, word))
    return (unigram?.probability ?? Self.missingUnknown) + backoff
  }
}
