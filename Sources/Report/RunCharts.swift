import Foundation
import Train

/// The curves of a run.
struct RunCharts: Sendable {
  private let run: RunRecord

  init(_ run: RunRecord) {
    self.run = run
  }

  /// A quantity for the horizontal axis: its label and its value for a line of metrics.
  private struct HorizontalAxis {
    let label: String
    let value: @Sendable (Metrics) -> Double
  }

  var losses: String {
    let axes = [tokens, time]
    let loss = axes.map { axis in
      chart("Loss by \(name(axis))", axis, "nats per token", .linear) { $0.natsPerToken }
    }
    let perplexity = axes.map { axis in
      chart("Word perplexity by \(name(axis))", axis, "word perplexity", .logarithmic) {
        $0.wordPerplexity
      }
    }
    return grid(loss + perplexity)
  }

  var machine: String {
    let norms = run.training.compactMap(\.gradientNorm)
    let isWide = (norms.max() ?? 0) > 30 * (norms.filter { $0 > 0 }.min() ?? 1)
    return grid([
      single("Learning rate", steps, "rate", fromZero: true) { $0.learningRate },
      single(
        "Gradient norm before clipping", steps, "norm", isWide ? .logarithmic : .linear,
        fromZero: true
      ) { $0.gradientNorm },
      single("Throughput", time, "tokens per second", fromZero: true) { $0.tokensPerSecond },
      single("Share of the machine's matrix-product peak", time, "%", fromZero: true) {
        $0.peakFraction.map { 100 * $0 }
      },
    ])
  }

  private func grid(_ figures: [String]) -> String {
    let shown = figures.filter { !$0.isEmpty }
    return shown.isEmpty ? "" : "<div class=\"charts\">\(shown.joined(separator: "\n"))</div>"
  }

  // MARK: Horizontal axes

  private var steps: HorizontalAxis { HorizontalAxis(label: "steps") { Double($0.step) } }

  private var tokens: HorizontalAxis {
    let most = Double(run.last?.tokens ?? 1)
    let (unit, name) =
      most >= 2e9
      ? (1e9, "billion tokens")
      : most >= 2e6
        ? (1e6, "million tokens")
        : most >= 2e3 ? (1e3, "thousand tokens") : (1.0, "tokens")
    return HorizontalAxis(label: name) { Double($0.tokens) / unit }
  }

  private var time: HorizontalAxis {
    let most = run.last?.trainedSeconds ?? 1
    let (unit, name) =
      most >= 7_200
      ? (3_600.0, "hours in steps")
      : most >= 120
        ? (60.0, "minutes in steps")
        : (1.0, "seconds in steps")
    return HorizontalAxis(label: name) { $0.trainedSeconds / unit }
  }

  private func name(_ axis: HorizontalAxis) -> String {
    axis.label.hasSuffix("tokens") ? "tokens" : "time"
  }

  // MARK: Charts

  /// Training and validation curves over one axis.
  private func chart(
    _ title: String, _ axis: HorizontalAxis, _ vertical: String, _ scale: Axis.Scale,
    _ figure: (Metrics) -> Double
  ) -> String {
    func points(_ metrics: [Metrics]) -> [Chart.Point] {
      metrics.map { Chart.Point(axis.value($0), figure($0)) }
        .filter { scale == .linear || $0.y > 0 && $0.y < 1e9 }
    }
    return Chart(
      title, horizontal: axis.label, vertical: vertical, scale: scale,
      series: [
        Chart.Series("training", colour: "first", points: points(run.training)),
        Chart.Series(
          "validation", colour: "second", points: points(run.validation), hasMarkers: true),
      ]
        + (run.averages.isEmpty
          ? []
          : [
            Chart.Series(
              "validation of the average", colour: "third", points: points(run.averages),
              hasMarkers: true)
          ]),
      events: events(axis)
    ).html
  }

  private func single(
    _ title: String, _ axis: HorizontalAxis, _ vertical: String, _ scale: Axis.Scale = .linear,
    fromZero: Bool, _ figure: (Metrics) -> Double?
  ) -> String {
    let points = run.training.compactMap { line in
      figure(line).map { Chart.Point(axis.value(line), $0) }
    }.filter { scale == .linear || $0.y > 0 }
    return Chart(
      title, horizontal: axis.label, vertical: vertical, scale: scale, fromZero: fromZero,
      series: [Chart.Series("training", colour: "first", points: points)], events: events(axis)
    ).html
  }

  private func events(_ axis: HorizontalAxis) -> [Chart.Event] {
    run.incidents.compactMap { incident in
      run.place(of: incident.step, axis.value).map { Chart.Event(x: $0, text: "\(incident)") }
    }
  }
}
