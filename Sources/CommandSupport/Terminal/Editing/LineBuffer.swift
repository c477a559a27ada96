/// A line that is being typed, with a cursor, and the lines that were typed before.
package struct LineBuffer {
  /// What a key has done.
  package enum Change: Equatable, Sendable {
    /// Nothing that is seen.
    case none
    /// A character was added at the end, where the cursor was.
    case appended(Character)
    /// Text or cursor are other than they were.
    case edited
    /// The line is whole.
    case finished
    /// Whoever types has left.
    case left
  }

  package private(set) var text: [Character] = []
  /// Characters before the cursor.
  package private(set) var cursor = 0

  /// Oldest first.
  private var earlier: [[Character]] = []
  /// Which of the earlier lines is shown; their number for none.
  private var shown = 0
  /// What was typed before an earlier line was shown.
  private var draft: [Character] = []

  /// Earlier lines that are remembered.
  private static let most = 1_000

  package init() {}

  /// An empty line; the one before is remembered.
  package mutating func begin() {
    text = []
    cursor = 0
    draft = []
    shown = earlier.count
  }

  package mutating func apply(_ key: Key) -> Change {
    switch key {
    case .text(let character): return insert(character)
    case .enter: return finish()
    case .deleteOrLeave where text.isEmpty: return .left
    case .backspace: return remove(max(0, cursor - 1)..<cursor)
    case .delete, .deleteOrLeave: return remove(cursor..<min(text.count, cursor + 1))
    case .cutToEnd: return remove(cursor..<text.count)
    case .cutToStart: return remove(0..<cursor)
    case .cutWord: return remove(startOfWord..<cursor)
    case .left: return move(to: cursor - 1)
    case .right: return move(to: cursor + 1)
    case .home: return move(to: 0)
    case .end: return move(to: text.count)
    case .up: return show(shown - 1)
    case .down: return show(shown + 1)
    case .clearScreen, .suspend, .none: return .none
    }
  }

  private mutating func insert(_ character: Character) -> Change {
    // An accent belongs to the letter before it.
    if cursor > 0, case let joined = String(text[cursor - 1]) + String(character),
      joined.count == 1,
      let whole = joined.first
    {
      text[cursor - 1] = whole
      return .edited
    }
    text.insert(character, at: cursor)
    cursor += 1
    return cursor == text.count ? .appended(character) : .edited
  }

  private mutating func finish() -> Change {
    if !text.isEmpty, text != earlier.last { earlier.append(text) }
    if earlier.count > Self.most { earlier.removeFirst() }
    return .finished
  }

  private mutating func remove(_ range: Range<Int>) -> Change {
    guard !range.isEmpty else { return .none }
    text.removeSubrange(range)
    cursor = range.lowerBound
    return .edited
  }

  private mutating func move(to place: Int) -> Change {
    guard place != cursor, (0...text.count).contains(place) else { return .none }
    cursor = place
    return .edited
  }

  /// Shows an earlier line, or behind the last what was being typed.
  private mutating func show(_ number: Int) -> Change {
    guard (0...earlier.count).contains(number) else { return .none }
    if shown == earlier.count { draft = text }
    shown = number
    text = number == earlier.count ? draft : earlier[number]
    cursor = text.count
    return .edited
  }

  private var startOfWord: Int {
    var place = cursor
    while place > 0, text[place - 1].isWhitespace { place -= 1 }
    while place > 0, !text[place - 1].isWhitespace { place -= 1 }
    return place
  }
}
