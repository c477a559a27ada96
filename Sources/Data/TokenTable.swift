/// The bytes of every id, to decode ids and to count their words and bytes without decoding.
///
/// Bytes are those of the decoded token: the leading `▁` is a space, a byte token is its byte, and a
/// control token is empty.
package struct TokenTable: Sendable {
  private let bytes: [UInt8]
  private let starts: [Int]
  private let shapes: [Shape]

  /// The counts of a token, and how it joins its neighbours.
  private struct Shape: Sendable {
    var bytes: Int32
    /// Words of the token by itself.
    var words: Int32
    var beginsWithWord: Bool
    var endsWithWord: Bool
    var beginsWithSpace: Bool
  }

  /// A table of the bytes of each id, in order of the ids.
  package init(_ tokens: [[UInt8]]) {
    var bytes: [UInt8] = []
    var starts = [0]
    for token in tokens {
      bytes += token
      starts.append(bytes.count)
    }
    self.bytes = bytes
    self.starts = starts
    shapes = tokens.map(Self.shape)
  }

  /// Number of ids.
  package var count: Int { shapes.count }

  /// The bytes of one id.
  package subscript(id: Int32) -> ArraySlice<UInt8> { bytes[starts[Int(id)]..<starts[Int(id) + 1]] }

  /// The text of a sequence: all tokens concatenated, without the first space.
  ///
  /// The tokenizer puts that space before every line, so that a word has the same tokens wherever
  /// it stands.
  package func decode(_ ids: some Sequence<Int32>) -> [UInt8] {
    var text: [UInt8] = []
    for id in ids { text += self[id] }
    if text.first == UInt8(ascii: " ") { text.removeFirst() }
    return text
  }

  /// A token as it is shown: `▁` for a space, `\t`, `\r`, `\n` and `\\` for tab, carriage return, newline
  /// and backslash, and every byte of what is no whole UTF-8 character by itself as `\xE2`.
  package func spelling(_ id: Int32) -> String {
    guard let text = String(validating: self[id], as: UTF8.self) else {
      let digits = Array("0123456789ABCDEF")
      return self[id].map { "\\x\(digits[Int($0 >> 4)])\(digits[Int($0 & 15)])" }.joined()
    }
    return text.unicodeScalars.map { character in
      switch character {
      case " ": "▁"
      case "\t": "\\t"
      case "\r": "\\r"
      case "\n": "\\n"
      case "\\": "\\\\"
      default: String(character)
      }
    }.joined()
  }

  /// Words and bytes of the text of a sequence, its newline included; nothing is allocated.
  ///
  /// - Parameter ids: As for ``decode(_:)``.
  /// - Returns: ``Words`` of the text, and bytes with one newline.
  package func measure(_ ids: UnsafeBufferPointer<Int32>) -> (words: Int, bytes: Int) {
    var words = 0
    var bytes = 0
    var isFirst = true
    var insideWord = false
    for id in ids {
      let shape = shapes[Int(id)]
      if shape.bytes == 0 { continue }
      if isFirst && shape.beginsWithSpace { bytes -= 1 }
      isFirst = false
      bytes += Int(shape.bytes)
      words += Int(shape.words)
      // A word that spans two tokens was counted in both.
      if insideWord && shape.beginsWithWord { words -= 1 }
      insideWord = shape.endsWithWord
    }
    return (words, bytes + 1)
  }

  /// Words and bytes of the text of a sequence, its newline included.
  package func measure(_ ids: [Int32]) -> (words: Int, bytes: Int) {
    ids.withUnsafeBufferPointer { measure($0) }
  }

  /// Words and bytes of the text of a sequence, its newline included.
  package func measure(_ ids: ArraySlice<Int32>) -> (words: Int, bytes: Int) {
    ids.withUnsafeBufferPointer { measure($0) }
  }

  private static func shape(_ token: [UInt8]) -> Shape {
    Shape(
      bytes: Int32(token.count), words: Int32(Words.count(in: token)),
      beginsWithWord: token.first.map { !Words.isSpace($0) } ?? false,
      endsWithWord: token.last.map { !Words.isSpace($0) } ?? false,
      beginsWithSpace: token.first == UInt8(ascii: " "))
  }
}
