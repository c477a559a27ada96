/// One line of a text file with its ids.
package struct TextLine: Sendable {
  /// From 1.
  package let number: Int
  /// Without its newline.
  package let text: [UInt8]
  package let ids: [Int32]
}

/// The lines of a text file in order, plain or with a name that ends in `.gz` or `.zst`.
///
/// Lines and ids are the same that a data set made of the file would hold.
package final class TextLines {
  private let path: String
  private let encoder: LineEncoder
  private let reader: BlockReader
  private let block = TextBlock()
  private let encoded = EncodedLines()
  private var next = 0
  private var position = 0

  package init(path: String, encoder: LineEncoder) throws(TokenizerError) {
    self.path = path
    self.encoder = encoder
    reader = try BlockReader(path: path)
  }

  /// The next line, or `nil` after the last.
  package func nextLine() throws(TokenizerError) -> TextLine? {
    if next == encoded.lineCount {
      guard try reader.next(into: block) else { return nil }
      if try !encoder.encodeBlock(block.bytes, into: encoded) {
        throw .invalidUTF8(path: path, line: block.firstLine + encoded.lineCount + 1)
      }
      next = 0
      position = 0
    }
    let count = Int(encoded.lines[next].bytes) - 1
    let text = block.bytes[position..<position + count]
    defer {
      next += 1
      position += count + 1
    }
    return TextLine(
      number: block.firstLine + next + 1, text: Array(text), ids: Array(encoded[next]))
  }
}
