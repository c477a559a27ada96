import Foundation

/// How text is highlighted on a terminal; elsewhere it is plain.
package enum Style: String, Sendable, CaseIterable {
  case bold = "1"
  case faint = "2"
  case red = "31"
  case green = "32"
  case yellow = "33"
  case cyan = "36"
}

extension Terminal {
  /// The stream that text is written to.
  package enum Stream: Sendable { case output, errors }

  /// Whether a stream shows colours: it is a terminal, not a dumb one, and `NO_COLOR` is not set.
  ///
  /// Source: no-color.org: `NO_COLOR` counts when it is set and not empty.
  package static func allowsColour(
    isTerminal: Bool, environment: [String: String]
  ) -> Bool {
    isTerminal && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
  }

  private static let colours: (output: Bool, errors: Bool) = {
    let environment = ProcessInfo.processInfo.environment
    return (
      allowsColour(isTerminal: isatty(STDOUT_FILENO) == 1, environment: environment),
      allowsColour(isTerminal: isatty(STDERR_FILENO) == 1, environment: environment)
    )
  }()

  /// Text in a style if the stream shows colours, unchanged otherwise.
  package static func styled(_ text: String, _ style: Style, on stream: Stream) -> String {
    (stream == .output ? colours.output : colours.errors) ? painted(text, style) : text
  }

  /// Text between the escape sequences of a style.
  package static func painted(_ text: String, _ style: Style) -> String {
    "\u{1B}[\(style.rawValue)m\(text)\u{1B}[0m"
  }

  /// Bold text for standard output, for the most important figure.
  package static func bold(_ text: String) -> String { styled(text, .bold, on: .output) }

  /// Columns of a text on the terminal, without escape sequences.
  package static func width(of text: String) -> Int {
    var width = 0
    forEachPart(text) { _, isStyle in if !isStyle { width += 1 } }
    return width
  }

  /// The first columns of a text; a style that is open at the cut is closed.
  package static func cut(_ text: String, to width: Int) -> String {
    var result = ""
    var columns = 0
    var isStyled = false
    forEachPart(text) { part, isStyle in
      if isStyle {
        // After the cut only the end of an open style is kept.
        let isEnd = part == "\u{1B}[0m"
        if isEnd ? isStyled : columns < width {
          result += part
          isStyled = !isEnd
        }
      } else if columns < width {
        result += part
        columns += 1
      }
    }
    return isStyled ? result + "\u{1B}[0m" : result
  }

  /// Calls `body` with every character and every whole escape sequence `ESC [ … letter`.
  private static func forEachPart(_ text: String, _ body: (Substring, _ isStyle: Bool) -> Void) {
    var rest = text[...]
    while let first = rest.first {
      var length = 1
      let isStyle = first == "\u{1B}" && rest.dropFirst().first == "["
      if isStyle, let end = rest.dropFirst(2).firstIndex(where: \.isLetter) {
        length = rest.distance(from: rest.startIndex, to: end) + 1
      }
      body(rest.prefix(length), isStyle)
      rest = rest.dropFirst(length)
    }
  }
}
