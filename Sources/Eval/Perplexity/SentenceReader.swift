import LMData

/// What is known of a text beside its probability: its checksums and its unknown words.
final class SentenceReader {
  private var digest = TextDigest()
  private(set) var unknownWords = 0
  /// Unknown words of the last sentence.
  private(set) var lastUnknownWords = 0
  private let countsUnknownWords: Bool

  /// - Parameter countsUnknownWords: Whether `<UNK>` stands for unknown words in this text.
  init(countsUnknownWords: Bool) {
    self.countsUnknownWords = countsUnknownWords
  }

  /// - Parameter original: The line before words were replaced, if some may have been.
  func read(_ text: [UInt8], original: [UInt8]? = nil) {
    digest.add(line: original ?? text)
    guard countsUnknownWords else { return }
    lastUnknownWords = Words.countUnknown(in: text)
    unknownWords += lastUnknownWords
  }

  /// Puts what was found into a report.
  func complete(_ report: inout PerplexityReport) {
    report.textSums = digest.finalize()
    if countsUnknownWords { report.unknownWords = unknownWords }
  }
}
