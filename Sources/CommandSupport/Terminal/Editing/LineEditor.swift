import Foundation

/// Reads lines from a terminal whose user can edit them and call up earlier ones.
///
/// Between two lines the terminal is as it was found.
package struct LineEditor {
  private var keys = KeyReader()
  private var line = LineBuffer()
  private var view: LineView

  /// Whether the terminal of this process can be edited on.
  package static var isPossible: Bool { LineReader.isConversation && Terminal.isInteractive }

  package init(prompt: String) { view = LineView(prompt: prompt) }

  /// The next line, ended by a newline; nil at the end of the input, and at a `Break`.
  package mutating func next() throws -> [UInt8]? {
    let mode = try KeyMode()
    defer { mode.leave() }
    line.begin()
    Terminal.write(view.begin())
    while true {
      while let key = keys.next() {
        if key == .suspend {
          mode.suspend()
          _ = view.begin()
          Terminal.write(view.redraw(line, columns: Terminal.columns))
        } else if key == .clearScreen {
          Terminal.write(view.clearScreen(line, columns: Terminal.columns))
        }
        let change = line.apply(key)
        Terminal.write(view.update(after: change, line, columns: Terminal.columns))
        if change == .left { return nil }
        if change == .finished { return Array((String(line.text) + "\n").utf8) }
      }
      guard Break.wait(for: STDIN_FILENO) else {
        keys.clear()
        return nil
      }
      guard try read() else { return nil }
    }
  }

  /// Reads what was typed; false at the end.
  private mutating func read() throws -> Bool {
    var chunk = [UInt8](repeating: 0, count: 4_096)
    let count = Foundation.read(STDIN_FILENO, &chunk, chunk.count)
    if count > 0 { keys.append(chunk[..<count]) }
    if count < 0, errno != EINTR {
      throw CommandError("could not read standard input: \(String(cString: strerror(errno)))")
    }
    return count != 0
  }
}
