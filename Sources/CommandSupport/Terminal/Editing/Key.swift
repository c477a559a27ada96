/// What a key of a terminal asks for.
package enum Key: Equatable, Sendable {
  case text(Character)
  case enter, backspace, delete, left, right, home, end, up, down
  /// Delete what is under the cursor, or leave where nothing is typed: Ctrl-D.
  case deleteOrLeave
  /// Delete up to the end, up to the beginning, or the word before the cursor.
  case cutToEnd, cutToStart, cutWord
  case clearScreen, suspend
  /// A key without a meaning here.
  case none
}

/// Keys out of the bytes that a terminal sends for them.
package struct KeyReader {
  private var bytes: [UInt8] = []

  package init() {}

  package mutating func append(_ more: some Sequence<UInt8>) { bytes += more }

  /// Forgets what has not been read.
  package mutating func clear() { bytes = [] }

  /// The next key; nil until all its bytes are there.
  package mutating func next() -> Key? {
    guard let first = bytes.first else { return nil }
    if first == 0x1B { return escape() }
    if first >= 0x20, first != 0x7F { return character(first) }
    bytes.removeFirst()
    return Self.controls[first] ?? Key.none
  }

  private static let controls: [UInt8: Key] = [
    0x0A: .enter, 0x0D: .enter, 0x7F: .backspace, 0x08: .backspace, 0x09: .text("\t"),
    0x01: .home, 0x05: .end, 0x02: .left, 0x06: .right, 0x10: .up, 0x0E: .down,
    0x04: .deleteOrLeave, 0x0B: .cutToEnd, 0x15: .cutToStart, 0x17: .cutWord,
    0x0C: .clearScreen, 0x1A: .suspend,
  ]

  /// `ESC [ numbers letter` and `ESC O letter`; any other key after ESC has no meaning.
  private mutating func escape() -> Key? {
    guard bytes.count > 1 else { return nil }
    guard bytes[1] == UInt8(ascii: "[") || bytes[1] == UInt8(ascii: "O") else {
      bytes.removeFirst(2)
      return Key.none
    }
    guard let end = bytes[2...].firstIndex(where: { (0x40...0x7E).contains($0) }) else {
      return nil
    }
    let numbers = String(decoding: bytes[2..<end], as: UTF8.self)
    let letter = bytes[end]
    bytes.removeFirst(end + 1)
    switch (letter, numbers) {
    case (UInt8(ascii: "A"), _): return .up
    case (UInt8(ascii: "B"), _): return .down
    case (UInt8(ascii: "C"), _): return .right
    case (UInt8(ascii: "D"), _): return .left
    case (UInt8(ascii: "H"), _), (UInt8(ascii: "~"), "1"), (UInt8(ascii: "~"), "7"): return .home
    case (UInt8(ascii: "F"), _), (UInt8(ascii: "~"), "4"), (UInt8(ascii: "~"), "8"): return .end
    case (UInt8(ascii: "~"), "3"): return .delete
    default: return Key.none
    }
  }

  /// A character of UTF-8; a byte that begins none is `�`.
  private mutating func character(_ first: UInt8) -> Key? {
    let length = first < 0x80 ? 1 : first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 1
    if bytes.count < length, bytes.dropFirst().allSatisfy({ $0 & 0xC0 == 0x80 }) { return nil }
    let text = String(validating: bytes.prefix(length), as: UTF8.self)
    bytes.removeFirst(text == nil ? 1 : length)
    return .text(text?.first ?? "\u{FFFD}")
  }
}
