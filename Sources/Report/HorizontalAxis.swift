import Train

/// A quantity for the horizontal axis of a chart: its label and its value for a line of metrics.
struct HorizontalAxis: Sendable {
  /// As a title says it: `tokens`.
  let name: String
  /// With the unit: `million tokens`.
  let label: String
  let value: @Sendable (Metrics) -> Double

  static var steps: HorizontalAxis {
    HorizontalAxis(name: "steps", label: "steps") { Double($0.step) }
  }

  /// Targets seen.
  ///
  /// - Parameter most: The largest value that is drawn, which decides the unit.
  static func tokens(most: Int) -> HorizontalAxis {
    let (unit, label) =
      most >= 2_000_000_000
      ? (1e9, "billion tokens")
      : most >= 2_000_000
        ? (1e6, "million tokens")
        : most >= 2_000 ? (1e3, "thousand tokens") : (1.0, "tokens")
    return HorizontalAxis(name: "tokens", label: label) { Double($0.tokens) / unit }
  }

  /// Time in training steps, without validation.
  static func time(most: Double) -> HorizontalAxis {
    let (unit, label) =
      most >= 7_200
      ? (3_600.0, "hours in steps")
      : most >= 120
        ? (60.0, "minutes in steps")
        : (1.0, "seconds in steps")
    return HorizontalAxis(name: "time", label: label) { $0.trainedSeconds / unit }
  }
}

extension Chart {
  /// Charts side by side; empty if none has a point.
  static func grid(_ figures: [String], style: String = "charts") -> String {
    let shown = figures.filter { !$0.isEmpty }
    return shown.isEmpty ? "" : "<div class=\"\(style)\">\(shown.joined(separator: "\n"))</div>"
  }
}
