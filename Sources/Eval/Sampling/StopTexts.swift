/// Texts at which a sample ends.
package struct StopTexts: Sendable {
  private let texts: [[UInt8]]
  private let longest: Int

  /// - Parameter texts: None of them empty.
  package init(_ texts: [[UInt8]]) {
    precondition(!texts.contains { $0.isEmpty }, "an empty text stands everywhere")
    self.texts = texts
    longest = texts.map(\.count).max() ?? 0
  }

  /// Whether there is none.
  package var isEmpty: Bool { texts.isEmpty }

  /// Where the first of them begins, if one is there.
  ///
  /// - Parameters:
  ///   - text: What follows the prompt.
  ///   - known: Bytes at its beginning that are known to hold none.
  package func start(in text: [UInt8], known: Int = 0) -> Int? {
    for place in max(0, known - longest + 1)..<max(text.count, max(0, known - longest + 1)) {
      if texts.contains(where: { text[place...].starts(with: $0) }) { return place }
    }
    return nil
  }

  /// Bytes at the end of a text that may be the beginning of one of them.
  package func unfinished(_ text: [UInt8]) -> Int {
    for count in (0..<longest).reversed() where count > 0 && count <= text.count {
      if texts.contains(where: {
        $0.count > count && text.suffix(count).elementsEqual($0.prefix(count))
      }) {
        return count
      }
    }
    return 0
  }
}
