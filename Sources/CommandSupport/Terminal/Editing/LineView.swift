/// What a line that is being typed looks like on a terminal that wraps it.
package struct LineView {
  private let prompt: String
  /// Row of the cursor below that of the prompt.
  private var row = 0

  package init(prompt: String) { self.prompt = prompt }

  /// The prompt, at the beginning of a row.
  package mutating func begin() -> String {
    row = 0
    return prompt
  }

  /// What a terminal is sent after a change.
  ///
  /// - Parameters:
  ///   - change: Of the buffer.
  ///   - buffer: After it.
  ///   - columns: Of the terminal.
  package mutating func update(
    after change: LineBuffer.Change, _ buffer: LineBuffer, columns: Int
  ) -> String {
    switch change {
    case .none, .left: return ""
    case .appended(let character):
      let place = place(of: buffer.text.count, in: buffer.text, columns)
      defer { row = place.row }
      return Self.shown(character) + (place.column == 0 ? Self.wrap : "")
    case .edited: return redraw(buffer, columns: columns)
    case .finished:
      let end = place(of: buffer.text.count, in: buffer.text, columns)
      let down = end.row - row
      return (down > 0 ? "\u{1B}[\(down)B" : "") + "\n"
    }
  }

  /// Everything from the prompt on.
  package mutating func redraw(_ buffer: LineBuffer, columns: Int) -> String {
    let end = place(of: buffer.text.count, in: buffer.text, columns)
    let cursor = place(of: buffer.cursor, in: buffer.text, columns)
    var drawn = (row > 0 ? "\u{1B}[\(row)A" : "") + "\r\u{1B}[J" + prompt
    drawn += buffer.text.map(Self.shown).joined()
    if end.column == 0 { drawn += Self.wrap }
    if end.row > cursor.row { drawn += "\u{1B}[\(end.row - cursor.row)A" }
    if cursor != end { drawn += "\r" + (cursor.column > 0 ? "\u{1B}[\(cursor.column)C" : "") }
    row = cursor.row
    return drawn
  }

  /// The prompt and the line on an empty screen.
  package mutating func clearScreen(_ buffer: LineBuffer, columns: Int) -> String {
    row = 0
    return "\u{1B}[H\u{1B}[2J" + redraw(buffer, columns: columns)
  }

  /// Behind the last column a terminal waits for another character before it begins a row.
  private static let wrap = " \r"

  private static func shown(_ character: Character) -> String {
    character == "\t" ? " " : String(character)
  }

  private struct Place: Equatable {
    var row = 0
    var column = 0
  }

  /// Where the cursor stands behind some characters.
  private func place(of count: Int, in text: [Character], _ columns: Int) -> Place {
    let columns = max(2, columns)
    var place = Place()
    for character in Array(prompt) + text[..<count] {
      let width = Self.width(character)
      // A wide character that does not fit begins a row.
      if place.column + width > columns { place = Place(row: place.row + 1) }
      place.column += width
      if place.column == columns { place = Place(row: place.row + 1) }
    }
    return place
  }

  /// Two columns for the characters of East Asia and for pictures, one for any other.
  private static func width(_ character: Character) -> Int {
    guard let first = character.unicodeScalars.first?.value else { return 1 }
    return wide.contains { $0.contains(first) } ? 2 : 1
  }

  private static let wide: [ClosedRange<UInt32>] = [
    0x1100...0x115F, 0x2E80...0x303E, 0x3041...0xA4CF, 0xAC00...0xD7A3, 0xF900...0xFAFF,
    0xFE30...0xFE6F, 0xFF00...0xFF60, 0xFFE0...0xFFE6, 0x1F300...0x1FAFF, 0x20000...0x3FFFD,
  ]
}
