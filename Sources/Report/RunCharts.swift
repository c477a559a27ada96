import Foundation
import Train

/// The curves of a run.
struct RunCharts: Sendable {
  private let run: RunRecord

  init(_ run: RunRecord) {
    self.run = run
  }

  var losses: String {
    let axes = [tokens, time]
    let loss = axes.map { axis in
      chart("Loss by \(axis.name)", axis, "nats per token", .linear) { $0.natsPerToken }
    }
    let perplexity = axes.map { axis in
      chart("Word perplexity by \(axis.name)", axis, "word perplexity", .logarithmic) {
        $0.wordPerplexity
      }
    }
    return Chart.grid(loss + perplexity)
  }

  var machine: String {
    let norms = run.training.compactMap(\.gradientNorm)
    let isWide = (norms.max() ?? 0) > 30 * (norms.filter { $0 > 0 }.min() ?? 1)
    return Chart.grid([
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

  private var steps: HorizontalAxis { .steps }
  private var tokens: HorizontalAxis { .tokens(most: run.last?.tokens ?? 1) }
  private var time: HorizontalAxis { .time(most: run.last?.trainedSeconds ?? 1) }

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
          "validation", colour: "second", points: points(run.validation), marker: .circle),
      ]
        + (run.averages.isEmpty
          ? []
          : [
            Chart.Series(
              "validation of the average", colour: "third", points: points(run.averages),
              marker: .square)
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
