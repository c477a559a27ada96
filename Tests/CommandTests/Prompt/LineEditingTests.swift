import CommandSupport
import Deterministic
import Testing

/// A line that is typed at a prompt: keys, text, earlier lines, and what is seen of them.
@Suite struct LineEditingTests {
  private static func keys(_ bytes: String) -> [Key] {
    var reader = KeyReader()
    reader.append(bytes.utf8)
    var keys: [Key] = []
    while let key = reader.next() { keys.append(key) }
    return keys
  }

  @Test func bytesBecomeKeys() {
    let cases: [(String, [Key])] = [
      ("aé🙂", [.text("a"), .text("é"), .text("🙂")]), ("\r\n", [.enter, .enter]),
      ("\u{1B}[A\u{1B}[B\u{1B}OC\u{1B}OD", [.up, .down, .right, .left]),
      (
        "\u{1B}[H\u{1B}[F\u{1B}[1~\u{1B}[4~\u{1B}[7~\u{1B}[8~",
        [.home, .end, .home, .end, .home, .end]
      ),
      ("\u{1B}[3~\u{1B}[1;5D\u{1B}[2~\u{1B}x", [.delete, .left, Key.none, Key.none]),
      ("\u{1}\u{5}\u{2}\u{6}\u{10}\u{E}", [.home, .end, .left, .right, .up, .down]),
      (
        "\u{7F}\u{8}\u{4}\u{B}\u{15}\u{17}",
        [
          .backspace, .backspace, .deleteOrLeave, .cutToEnd, .cutToStart, .cutWord,
        ]
      ),
      ("\t\u{C}\u{1A}\u{3}", [.text("\t"), .clearScreen, .suspend, Key.none]),
    ]
    for (bytes, expected) in cases { #expect(Self.keys(bytes) == expected, "\(expected)") }
  }

  @Test func keysThatComeInPartsAreWaitedFor() {
    for whole in ["é", "🙂", "\u{1B}[1~", "\u{1B}OA"] {
      let bytes = Array(whole.utf8)
      for cut in 1..<bytes.count {
        var reader = KeyReader()
        reader.append(bytes[..<cut])
        #expect(reader.next() == nil, "\(whole) \(cut)")
        reader.append(bytes[cut...])
        #expect(reader.next() == Self.keys(whole)[0] && reader.next() == nil)
      }
    }
    // What is no UTF-8 costs itself alone.
    var reader = KeyReader()
    reader.append([0xFF, 0x61, 0xE2, 0x61, 0x80, 0x62])
    var keys: [Key] = []
    while let key = reader.next() { keys.append(key) }
    let lost = Key.text("\u{FFFD}")
    #expect(keys == [lost, .text("a"), lost, .text("a"), lost, .text("b")])
  }

  private static func typed(_ bytes: String, into buffer: inout LineBuffer) -> LineBuffer.Change {
    var change = LineBuffer.Change.none
    for key in keys(bytes) { change = buffer.apply(key) }
    return change
  }

  @Test func linesAreEdited() {
    let cases: [(keys: String, text: String, cursor: Int)] = [
      ("the kng\u{2}\u{2}i", "the king", 6), ("abc\u{1}x\u{5}y", "xabcy", 5),
      ("abc\u{7F}\u{7F}", "a", 1), ("abc\u{1}\u{4}", "bc", 0),
      ("abc\u{1}\u{1B}[3~\u{1B}[3~", "c", 0),
      ("one two  \u{17}", "one ", 4), ("one two\u{2}\u{2}\u{17}", "one wo", 4),
      ("one two\u{1}\u{6}\u{B}", "o", 1), ("one two\u{2}\u{15}", "o", 0),
      ("\u{7F}\u{2}\u{6}\u{4}", "", 0), ("abc\u{6}\u{1B}[C", "abc", 3),
      ("e\u{301}x\u{2}\u{7F}", "x", 0),
    ]
    for (keys, text, cursor) in cases {
      var buffer = LineBuffer()
      buffer.begin()
      _ = Self.typed(keys, into: &buffer)
      #expect(String(buffer.text) == text && buffer.cursor == cursor, "\(text)")
    }
    var empty = LineBuffer()
    empty.begin()
    #expect(Self.typed("\u{4}", into: &empty) == .left)
    #expect(Self.typed("a\u{4}\r", into: &empty) == .finished)
  }

  @Test func earlierLinesAreCalledUp() {
    var buffer = LineBuffer()
    for line in ["one", "two", "two", ""] {
      buffer.begin()
      #expect(Self.typed(line + "\n", into: &buffer) == .finished)
    }
    buffer.begin()
    let up = "\u{1B}[A"
    let down = "\u{1B}[B"
    for (keys, text) in [
      ("dra", "dra"), (up, "two"), (up, "one"), (up, "one"), ("!", "one!"), (down, "two"),
      (down, "dra"), (down, "dra"), ("ft", "draft"), (up + up, "one"), (down + down, "draft"),
    ] {
      _ = Self.typed(keys, into: &buffer)
      #expect(String(buffer.text) == text)
      #expect(buffer.cursor == buffer.text.count)
    }
  }

  // MARK: What is seen

  /// A terminal, as far as it is used.
  private struct Screen {
    let columns: Int
    var rows: [[String]] = [[]]
    var row = 0
    var column = 0
    /// Behind the last column a terminal waits for another character.
    var isFull = false

    init(columns: Int) { self.columns = columns }

    mutating func show(_ text: String) {
      var rest = Array(text.unicodeScalars.map(Character.init))[...]
      while let character = rest.popFirst() {
        switch character {
        case "\r": (column, isFull) = (0, false)
        case "\n": down(1)
        case "\u{1B}":
          rest = rest.dropFirst()
          let number = rest.prefix { $0.isNumber }
          rest = rest.dropFirst(number.count)
          let count = Int(String(number)) ?? 1
          switch rest.popFirst() {
          case "A": row -= count
          case "B": row += count
          case "C": column += count
          case "J":
            rows[row] = Array(rows[row].prefix(column))
            rows = Array(rows.prefix(row + 1))
          default: Issue.record("an escape sequence that is not known")
          }
          isFull = false
        default: put(String(character), width: character == "世" ? 2 : 1)
        }
      }
    }

    private mutating func put(_ text: String, width: Int) {
      if isFull || column + width > columns {
        column = 0
        down(1)
      }
      while rows[row].count < column + width { rows[row].append(" ") }
      rows[row][column] = text
      if width == 2 { rows[row][column + 1] = "" }
      column += width
      isFull = column == columns
      if isFull { column -= 1 }
    }

    private mutating func down(_ count: Int) {
      row += count
      isFull = false
      while rows.count <= row { rows.append([]) }
    }

    var text: String { rows.map { $0.joined() }.joined() }
  }

  /// Random keys on terminals of several widths: the text is on the screen, and the cursor in its place.
  @Test(arguments: [4, 7, 10, 33, 80])
  func theScreenShowsTheLine(columns: Int) {
    let choices: [Key] = [
      .text("a"), .text("世"), .text("z"), .text(" "), .text("c"), .left, .right, .home, .end,
      .backspace, .delete, .up, .down, .cutWord, .enter, .text("q"), .text("r"), .text("s"), .left,
      .cutToEnd, .cutToStart,
    ]
    let random = CounterRandom(seed: 11, UInt64(columns))
    var buffer = LineBuffer()
    var view = LineView(prompt: "> ")
    var screen = Screen(columns: columns)
    buffer.begin()
    screen.show(view.begin())
    for number in 0..<3_000 {
      let drawn = random.bits(UInt64(number))
      // Long lines, seldom cut.
      let most = drawn >> 32 % 4 == 0 ? UInt64(choices.count) : 12
      let change = buffer.apply(choices[Int(drawn % most)])
      screen.show(view.update(after: change, buffer, columns: columns))
      if change == .finished {
        #expect(Self.plain(screen.text) == Self.plain("> " + String(buffer.text)))
        screen = Screen(columns: columns)
        buffer.begin()
        screen.show(view.begin())
        continue
      }
      #expect(Self.plain(screen.text) == Self.plain("> " + String(buffer.text)), "key \(number)")
      // A character that is typed now stands behind those before the cursor.
      var next = screen
      next.show("#")
      let before = next.rows.prefix(next.row + 1).enumerated().map { row, cells in
        cells.prefix(row == next.row ? next.column + (next.isFull ? 1 : 0) : cells.count).joined()
      }.joined()
      let expected = "> " + String(buffer.text.prefix(buffer.cursor)) + "#"
      #expect(Self.plain(before) == Self.plain(expected), "key \(number), columns \(columns)")
    }
  }

  /// Without spaces: rows that a wide character has not filled end in one.
  private static func plain(_ text: String) -> String { text.filter { $0 != " " } }
}
