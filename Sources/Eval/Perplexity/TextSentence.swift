/// One line of text to be scored.
package struct TextSentence: Sendable {
  package let text: [UInt8]
  /// The line before its unknown words were replaced.
  package let original: [UInt8]
  /// Its tokens, without markers.
  package let ids: [Int32]
  /// Where it stands, for messages: a file and a line.
  package let place: String
  /// The file or split that it stands in.
  package let name: String
  /// Its number there, from 1.
  package let number: Int
  /// Number of that file or split among all, from 0.
  package let source: Int

  package init(
    text: [UInt8], original: [UInt8]? = nil, ids: [Int32], place: String, name: String = "",
    number: Int = 1, source: Int = 0
  ) {
    self.source = source
    self.name = name
    self.number = number
    self.text = text
    self.original = original ?? text
    self.ids = ids
    self.place = place
  }
}
