import Provenance

/// What every page has around its content: the style, and what made it.
struct Page {
  let title: String
  let body: String
  /// Further rules of the style sheet.
  var style = ""
  /// Of the page itself.
  let provenance: Provenance

  /// The page made by the running program is dated in a line of its own, which begins with `<footer>`: all
  /// others follow from the runs alone.
  var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>\(HTML.escaped(title))</title>
    <style>
    \(ReportPage.style)\(style)
    </style>
    </head>
    <body>
    \(body)
    <footer>\(HTML.escaped(provenance.sentence)): <code>\(HTML.escaped(provenance.command))</code></footer>
    </body>
    </html>

    """
  }

  static func section(_ title: String, _ content: String) -> String {
    content.isEmpty ? "" : "<section><h2>\(title)</h2>\n\(content)\n</section>"
  }
}

extension Provenance {
  /// `Written by lm-eval 1.0 (6f2d235a01) on HOST at 2026-11-28T03:20:00Z`.
  fileprivate var sentence: String { "Written by \(brief) on \(host) at \(time)" }
}
