import LMData

/// Checksums and unknown words of a text, computed while it is scored.
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

  /// Adds the next line.
  ///
  /// - Parameters:
  ///   - text: The line as it is scored.
  ///   - original: The line before its unknown words were replaced.
  func read(_ text: [UInt8], original: [UInt8]? = nil) {
    digest.add(line: original ?? text)
    guard countsUnknownWords else { return }
    lastUnknownWords = Words.countUnknown(in: text)
    unknownWords += lastUnknownWords
  }

  /// Writes the checksums and the number of unknown words into a report.
  func complete(_ report: inout PerplexityReport) {
    report.textSums = digest.finalize()
    if countsUnknownWords { report.unknownWords = unknownWords }
  }
}
