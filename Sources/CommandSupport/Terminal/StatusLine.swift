import Synchronization

/// The line of progress at the bottom of a terminal, which is redrawn; without a terminal there is none.
package final class StatusLine: Sendable {
  package static let shared = StatusLine()
  private let shown = Mutex(0)

  /// Draws a line over the previous one, cut to the width of the terminal.
  package func show(_ line: String) {
    guard Terminal.isInteractive, !StandardStreams.isSilent else { return }
    shown.withLock { shown in
      let text = Terminal.cut(line, to: max(1, Terminal.columns - 1))
      let width = Terminal.width(of: text)
      let blank = String(repeating: " ", count: max(0, shown - width))
      Terminal.write("\r" + text + blank)
      shown = width
    }
  }

  /// Erases the line, so that other text can be written there.
  package func clear() {
    shown.withLock { shown in
      guard shown > 0 else { return }
      Terminal.write("\r" + String(repeating: " ", count: shown) + "\r")
      shown = 0
    }
  }
}
