/// What a word is: a maximal run of bytes other than ASCII white space.
///
/// The unit of word perplexity; manifest, scorer and reports all count with this.
package enum Words {
  /// Whether a byte is space, tab, line feed, vertical tab, form feed or carriage return.
  package static func isSpace(_ byte: UInt8) -> Bool {
    byte == 0x20 || (0x09...0x0D).contains(byte)
  }

  /// The number of words.
  package static func count(in text: UnsafeBufferPointer<UInt8>) -> Int {
    var words = 0
    var isInside = false
    for byte in text {
      let isWord = !isSpace(byte)
      if isWord && !isInside { words += 1 }
      isInside = isWord
    }
    return words
  }

  /// The number of words.
  package static func count(in text: [UInt8]) -> Int {
    text.withUnsafeBufferPointer { count(in: $0) }
  }

  /// The word that replaces every word outside a list, as in the literature of the benchmark.
  package static let unknown = Array("<UNK>".utf8)

  /// How many words of a text are ``unknown``.
  package static func countUnknown(in text: [UInt8]) -> Int {
    text.split(whereSeparator: isSpace).count { $0.elementsEqual(unknown) }
  }
}
