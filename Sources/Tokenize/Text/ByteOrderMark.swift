/// Marks at the beginning of a text that tell its encoding.
package enum ByteOrderMark {
  package static let utf8: [UInt8] = [0xEF, 0xBB, 0xBF]
  /// Bytes to look at.
  package static let longest = 4

  /// Removes the mark of UTF-8 from the beginning of a text.
  ///
  /// - Parameter name: Names the text in errors.
  /// - Returns: Whether there was one.
  /// - Throws: ``TokenizerError/otherEncoding(path:found:)`` for marks of other encodings.
  package static func remove(from text: inout [UInt8], name: String) throws(TokenizerError) -> Bool
  {
    if let encoding = otherEncoding(text.prefix(longest)) {
      throw .otherEncoding(path: name, found: encoding)
    }
    guard text.starts(with: utf8) else { return false }
    text.removeFirst(utf8.count)
    return true
  }

  /// The encoding that a text declares, or shows by zeros between its first characters, if it is not
  /// UTF-8; the longer marks come first.
  package static func otherEncoding(_ beginning: some Collection<UInt8>) -> String? {
    let marks: [(name: String, bytes: [UInt8])] = [
      ("UTF-32", [0xFF, 0xFE, 0, 0]), ("UTF-32", [0, 0, 0xFE, 0xFF]), ("UTF-16", [0xFF, 0xFE]),
      ("UTF-16", [0xFE, 0xFF]),
    ]
    if let mark = marks.first(where: { beginning.starts(with: $0.bytes) }) { return mark.name }
    guard beginning.count >= longest else { return nil }
    switch beginning.prefix(longest).map({ $0 == 0 }) {
    case [false, true, false, true]: return "UTF-16LE"
    case [true, false, true, false]: return "UTF-16BE"
    default: return nil
    }
  }
}
