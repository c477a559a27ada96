import LMData
import Storage

/// One line of a text file with its ids.
package struct TextLine: Sendable {
  /// From 1.
  package let number: Int
  /// As it is in the file, without its newline.
  package let original: [UInt8]
  /// What the ids spell: the line, or the line with its unknown words replaced; of whole words, with one
  /// space between them.
  package let text: [UInt8]
  package let ids: [Int32]
}

/// The lines of a text file in order, plain or compressed by gzip or zstd.
///
/// Lines and ids are the same that a data set made of the file would hold.
package final class TextLines {
  private let path: String
  private let encoder: LineEncoder
  private let vocabulary: WordList?
  private let reader: BlockReader
  private let block = TextBlock()
  private let mapped = MappedBlock()
  private let encoded = EncodedLines()
  private var next = 0
  private var original = Cut()
  private var text = Cut()

  /// What the text up to here has beside its lines.
  package var form: TextForm { reader.form }

  /// A walk over the lines of a block.
  private struct Cut {
    var position = 0

    mutating func next(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
      let rest = bytes[position...]
      let end = rest.firstIndex(of: 0x0A) ?? bytes.count
      defer { position = end + 1 }
      return Array(bytes[position..<end])
    }
  }

  /// - Parameters:
  ///   - vocabulary: Words outside it are `<UNK>` in `text`.
  ///   - lineEnds: What ends a line.
  package init(
    path: String, encoder: LineEncoder, vocabulary: WordList? = nil,
    lineEnds: LineEnds = .newline
  ) throws(TokenizerError) {
    self.path = PipeSpool.name(of: path)
    self.encoder = encoder
    self.vocabulary = vocabulary
    reader = try BlockReader(path: path, lineEnds: lineEnds)
  }

  /// The next line, or `nil` after the last.
  package func nextLine() throws(TokenizerError) -> TextLine? {
    if next == encoded.lineCount {
      guard try reader.next(into: block) else { return nil }
      try encode()
    }
    defer { next += 1 }
    let line = original.next(block.bytes)
    let ids = Array(encoded[next])
    let replaced = vocabulary == nil ? line : text.next(mapped.bytes)
    return TextLine(
      number: block.firstLine + next + 1, original: line,
      text: encoder.spelledWords(ids) ?? replaced, ids: ids)
  }

  private func encode() throws(TokenizerError) {
    var bytes = block.bytes
    if let vocabulary {
      if !mapped.fill(from: bytes, keeping: vocabulary) {
        throw .invalidUTF8(path: path, line: block.firstLine + mapped.unknownWords.count + 1)
      }
      bytes = mapped.bytes
    }
    if try !encoder.encodeBlock(bytes, into: encoded) {
      throw .invalidUTF8(path: path, line: block.firstLine + encoded.lineCount + 1)
    }
    next = 0
    original = Cut()
    text = Cut()
  }
}
