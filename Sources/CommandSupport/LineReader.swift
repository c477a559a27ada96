import Foundation

/// The lines of standard input, as they come.
package struct LineReader {
  private var waiting: [UInt8] = []
  private let endsAtReturns: Bool
  /// Whether the last line ended in a carriage return: a newline after it ends no other.
  private var isAfterReturn = false

  /// Longest line in bytes.
  private static let longestLine = 1 << 28

  /// - Parameter endsAtReturns: Whether a carriage return ends a line as well.
  package init(endsAtReturns: Bool = false) {
    self.endsAtReturns = endsAtReturns
  }

  /// Whether somebody has put text there: a pipe or a file.
  package static var holdsText: Bool {
    var status = stat()
    return fstat(STDIN_FILENO, &status) == 0
      && [S_IFIFO, S_IFREG].contains(status.st_mode & S_IFMT)
  }

  /// Whether a person types there and reads what is written.
  package static var isConversation: Bool {
    isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1
  }

  private func isEnd(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "\n") || endsAtReturns && byte == UInt8(ascii: "\r")
  }

  /// The next line with the line break that ends it; nothing at the end.
  ///
  /// Nothing as well where `Break` was asked for; what was typed by then is forgotten.
  package mutating func next() throws -> [UInt8]? {
    while true {
      if isAfterReturn, let first = waiting.first {
        isAfterReturn = false
        if first == UInt8(ascii: "\n") { waiting.removeFirst() }
      }
      if let end = waiting.firstIndex(where: isEnd) {
        defer { waiting.removeSubrange(...end) }
        isAfterReturn = waiting[end] == UInt8(ascii: "\r")
        return Array(waiting[..<end]) + [UInt8(ascii: "\n")]
      }
      guard waiting.count <= Self.longestLine else {
        throw CommandError(
          "standard input has a line of more than \(Self.longestLine) bytes; is it a text?")
      }
      guard Break.wait(for: STDIN_FILENO) else {
        waiting = []
        return nil
      }
      var chunk = [UInt8](repeating: 0, count: 1 << 16)
      let count = read(STDIN_FILENO, &chunk, chunk.count)
      if count < 0 {
        guard errno == EINTR else {
          throw CommandError(
            "could not read standard input: \(String(cString: strerror(errno)))")
        }
      } else if count > 0 {
        waiting += chunk[..<count]
      } else {
        defer { waiting = [] }
        return waiting.isEmpty ? nil : waiting
      }
    }
  }
}
