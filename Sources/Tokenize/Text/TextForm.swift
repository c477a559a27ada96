import Foundation

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

  mutating func count(isBeforeNewline: Bool) {
    if isBeforeNewline {
      carriageReturns.beforeNewline += 1
    } else {
      carriageReturns.alone += 1
    }
  }
}
