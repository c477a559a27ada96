import Foundation

/// The terminal that messages are written to.
package enum Terminal {
  /// Whether standard error is a terminal that can redraw a line of progress.
  ///
  /// A dumb terminal cannot go back to the beginning of a line.
  package static let isInteractive =
    isatty(STDERR_FILENO) == 1 && ProcessInfo.processInfo.environment["TERM"] != "dumb"

  /// Columns of the terminal, 80 if it does not say.
  package static var columns: Int {
    var size = winsize()
    guard ioctl(STDERR_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }

  /// Writes text to standard error without buffering, after what was printed before; see
  /// ``StandardStreams/message(_:)``.
  package static func write(_ text: String) { StandardStreams.message(text) }

  /// Writes a line to standard error.
  package static func note(_ line: String) {
    if StandardStreams.isSilent { return }
    StatusLine.shared.clear()
    write(line + "\n")
  }
}
