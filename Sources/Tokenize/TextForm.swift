import Foundation

/// What ends a line of a text.
package enum LineEnds: String, Sendable, CaseIterable {
  /// A newline alone; a carriage return is text.
  case newline
  /// A newline, a carriage return and newline, or a carriage return, as Unix, Windows and old Macs
  /// write.
  case any
}

/// What a text file has beside its lines, and a reader of figures should know.
package struct TextForm: Equatable, Sendable {
  /// Whether it begins with the UTF-8 byte order mark, which is passed over.
  package var hasByteOrderMark = false
  /// Carriage returns before a newline, and others.
  package var carriageReturns = (beforeNewline: 0, alone: 0)

  package init() {}

  package static func == (left: TextForm, right: TextForm) -> Bool {
    left.hasByteOrderMark == right.hasByteOrderMark
      && left.carriageReturns == right.carriageReturns
  }

  /// A sentence each about what is unusual; none for an ordinary text.
  ///
  /// - Parameters:
  ///   - path: The file.
  ///   - lineEnds: What has ended its lines.
  package func notes(path: String, lineEnds: LineEnds) -> [String] {
    var notes: [String] = []
    if hasByteOrderMark {
      notes.append(
        "\(path) begins with a byte order mark (U+FEFF), which is passed over: everything counts the "
          + "text without it")
    }
    let (pairs, alone) = carriageReturns
    if pairs + alone > 0 {
      let found = [
        pairs > 0 ? "\(pairs) before a newline (CR LF, \\r\\n)" : nil,
        alone > 0 ? "\(alone) without one (CR, \\r)" : nil,
      ].compactMap { $0 }.joined(separator: " and ")
      let returns = pairs + alone == 1 ? "carriage return" : "carriage returns"
      switch lineEnds {
      case .newline:
        notes.append(
          "\(path) has \(returns), \(found), kept as text; --line-ends any takes them as line ends")
      case .any:
        notes.append("\(path) has \(returns), \(found), taken as line ends")
      }
    }
    return notes
  }

  /// Counts the carriage returns of a block of whole lines.
  mutating func count(in bytes: UnsafeBufferPointer<UInt8>) {
    guard let base = bytes.baseAddress else { return }
    var index = 0
    while index < bytes.count, let found = memchr(base + index, 0x0D, bytes.count - index) {
      index = UnsafeRawPointer(found) - UnsafeRawPointer(base) + 1
      count(isBeforeNewline: index < bytes.count && base[index] == 0x0A)
    }
  }

  fileprivate mutating func count(isBeforeNewline: Bool) {
    if isBeforeNewline {
      carriageReturns.beforeNewline += 1
    } else {
      carriageReturns.alone += 1
    }
  }
}

/// Turns carriage returns into newlines as bytes come in, pairs with a newline into one.
struct LineEndReader {
  /// Whether the last byte was a carriage return: a newline after it ends no other line.
  private var isAfterReturn = false
  private(set) var form = TextForm()

  /// Rewrites bytes where they are.
  ///
  /// - Returns: How many are left.
  mutating func convert(_ base: UnsafeMutablePointer<UInt8>, _ count: Int) -> Int {
    if !isAfterReturn, memchr(base, 0x0D, count) == nil { return count }
    var kept = 0
    for index in 0..<count {
      let byte = base[index]
      if isAfterReturn {
        isAfterReturn = false
        form.count(isBeforeNewline: byte == 0x0A)
        if byte == 0x0A { continue }
      }
      isAfterReturn = byte == 0x0D
      base[kept] = isAfterReturn ? 0x0A : byte
      kept += 1
    }
    return kept
  }

  /// Called at the end of the text.
  mutating func finish() {
    if isAfterReturn { form.count(isBeforeNewline: false) }
    isAfterReturn = false
  }
}

/// Marks at the beginning of a text that tell its encoding.
package enum ByteOrderMark {
  static let utf8: [UInt8] = [0xEF, 0xBB, 0xBF]
  /// Bytes to look at.
  static let longest = 4

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
  static func otherEncoding(_ beginning: some Collection<UInt8>) -> String? {
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
