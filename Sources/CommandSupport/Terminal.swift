import Foundation
import Synchronization

/// What the program may assume of the place its messages go to.
package enum Terminal {
  /// Whether standard error is a terminal: then progress is one line, redrawn.
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

  /// Writes text to standard error at once, after what was printed before it, or drops it.
  package static func write(_ text: String) { StandardStreams.message(text) }

  /// Writes a line to standard error.
  package static func note(_ line: String) {
    StatusLine.shared.clear()
    write(line + "\n")
  }
}

/// The one line at the bottom of a terminal that is redrawn; nothing where there is no terminal.
package final class StatusLine: Sendable {
  package static let shared = StatusLine()
  private let shown = Mutex(0)

  /// Draws a line over the last one, cut to the width of the terminal.
  package func show(_ line: String) {
    guard Terminal.isInteractive else { return }
    shown.withLock { shown in
      let text = Terminal.cut(line, to: max(1, Terminal.columns - 1))
      let width = Terminal.width(of: text)
      let blank = String(repeating: " ", count: max(0, shown - width))
      Terminal.write("\r" + text + blank)
      shown = width
    }
  }

  /// Removes the line, so that other text can be written in its place.
  package func clear() {
    shown.withLock { shown in
      guard shown > 0 else { return }
      Terminal.write("\r" + String(repeating: " ", count: shown) + "\r")
      shown = 0
    }
  }
}
