/// One line of text to be scored.
package struct TextSentence: Sendable {
  package let text: [UInt8]
  /// The line before its unknown words were replaced.
  package let original: [UInt8]
  /// Its tokens, without markers.
  package let ids: [Int32]
  /// Where it stands, for messages: a file and a line.
  package let place: String

  package init(text: [UInt8], original: [UInt8]? = nil, ids: [Int32], place: String) {
    self.text = text
    self.original = original ?? text
    self.ids = ids
    self.place = place
  }
}
