import Foundation

/// Reads standard input line by line, without buffer for its end.
package struct LineReader {
  private var buffer: [UInt8] = []
  private let endsAtReturns: Bool
  /// Whether the last line ended in a carriage return: a newline after it belongs to that line end.
  private var isAfterReturn = false

  /// Longest line in bytes.
  private static let longestLine = 1 << 28

  /// - Parameter endsAtReturns: Whether a carriage return ends a line as well.
  package init(endsAtReturns: Bool = false) {
    self.endsAtReturns = endsAtReturns
  }

  /// Whether standard input is a pipe or a file.
  package static var holdsText: Bool {
    var status = stat()
    return fstat(STDIN_FILENO, &status) == 0
      && [S_IFIFO, S_IFREG].contains(status.st_mode & S_IFMT)
  }

  /// Whether standard input and output are both a terminal.
  package static var isConversation: Bool {
    isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1
  }

  private func isLineEnd(_ byte: UInt8) -> Bool {
    byte == UInt8(ascii: "\n") || endsAtReturns && byte == UInt8(ascii: "\r")
  }

  /// The next line, ended by a newline; nil at the end of the input.
  ///
  /// Nil as well at a `Break`; what was read of the line is dropped.
  package mutating func next() throws -> [UInt8]? {
    while true {
      if isAfterReturn, let first = buffer.first {
        isAfterReturn = false
        if first == UInt8(ascii: "\n") { buffer.removeFirst() }
      }
      if let end = buffer.firstIndex(where: isLineEnd) {
        defer { buffer.removeSubrange(...end) }
        isAfterReturn = buffer[end] == UInt8(ascii: "\r")
        return Array(buffer[..<end]) + [UInt8(ascii: "\n")]
      }
      guard buffer.count <= Self.longestLine else {
        throw CommandError(
          "standard input has a line of more than \(Self.longestLine) bytes; is it a text?")
      }
      guard Break.wait(for: STDIN_FILENO) else {
        buffer = []
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
        buffer += chunk[..<count]
      } else {
        defer { buffer = [] }
        return buffer.isEmpty ? nil : buffer
      }
    }
  }
}
