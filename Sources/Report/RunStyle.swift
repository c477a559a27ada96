/// Colour, dashes and marker of a run, each of its own, so that the page can be read in black and white.
struct RunStyle: Sendable {
  /// How many runs can be told apart.
  static let count = looks.count

  /// Class of its lines.
  let colour: String
  let marker: Marker

  init(_ index: Int) {
    colour = "run-\(index + 1)"
    marker = Self.looks[index].marker
  }

  /// Dashes in units of the drawing; the dark colour is for dark pages.
  private static let looks: [(light: String, dark: String, dashes: String, marker: Marker)] = [
    ("#1f66c7", "#6fb0ff", "none", .circle),
    ("#c2570c", "#ffa14f", "9 4", .square),
    ("#1a7f4b", "#5fd39a", "2 4", .triangle),
    ("#8a3fa8", "#d49bf0", "11 4 2 4", .diamond),
    ("#4a5568", "#c3ccd8", "5 3", .cross),
    ("#b3256b", "#ff8fc4", "16 4", .down),
    ("#7a6400", "#e6cd55", "8 4 2 4 2 4", .circle),
    ("#0b7285", "#63d3e6", "2 8", .square),
  ]

  /// Line and marker as they are in the charts.
  func key(_ name: String) -> String {
    "<span class=\"run\"><svg class=\"swatch\" viewBox=\"0 0 44 12\" aria-hidden=\"true\">"
      + "<polyline class=\"\(colour)\" points=\"1,6 43,6\"/>"
      + marker.svg(x: "22", y: "6", colour: colour) + "</svg>\(HTML.escaped(name))</span>"
  }

  /// Rules for so many runs.
  static func sheet(_ runs: Int) -> String {
    let looks = looks.prefix(runs).enumerated()
    func colours(_ colour: (Int) -> String) -> String {
      looks.map { "--run-\($0.offset + 1): \(colour($0.offset));" }.joined(separator: " ")
    }
    let rules = looks.map { index, look in
      """
      svg polyline.run-\(index + 1) { stroke: var(--run-\(index + 1)); stroke-dasharray: \(look.dashes); }
      svg .mark.run-\(index + 1) { fill: var(--run-\(index + 1)); }
      """
    }
    return """

      :root { \(colours { Self.looks[$0].light }) }
      @media (prefers-color-scheme: dark) { :root { \(colours { Self.looks[$0].dark }) } }
      .three { grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); }
      .three svg text { font-size: 15px; }
      .runs { display: flex; flex-wrap: wrap; gap: 6px 26px; margin: 0 0 14px; }
      .run { white-space: nowrap; }
      svg.swatch { display: inline-block; width: 44px; height: 12px; margin-right: 8px; vertical-align: middle; }
      \(rules.joined(separator: "\n"))
      """
  }
}
