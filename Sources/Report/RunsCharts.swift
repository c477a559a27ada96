import Train

/// The curves of several runs, each with the runs on the same axes.
struct RunsCharts: Sendable {
  private let runs: [ComparedRun]
  private let works: [RunWork]

  init(_ runs: [ComparedRun]) {
    self.runs = runs
    let hasAll = runs.allSatisfy { $0.manifest != nil || $0.record.config.data.streamLength != nil }
    // Counted the same way for all, or the curves would not be of the same quantity.
    works = runs.map { RunWork($0.record, manifest: hasAll ? $0.manifest : nil) }
  }

  /// Whether the work has all of attention in it.
  var countsAttention: Bool { works.allSatisfy(\.knowsLengths) }

  /// FLOPs of a run so far.
  func flops(_ index: Int) -> Double? { runs[index].record.last.map(works[index].flops) }

  /// Word perplexity of validation and loss of training, by tokens, time and work.
  var html: String {
    let validation = axes.map { axis in
      chart("Validation by \(axis[0].name)", axis, "word perplexity", .logarithmic) {
        ($0.validation, \.wordPerplexity)
      }
    }
    let training = axes.map { axis in
      chart("Training loss by \(axis[0].name)", axis, "nats per token", .linear) {
        ($0.training, \.natsPerToken)
      }
    }
    return Chart.grid(validation + training, style: "charts three")
  }

  /// One axis for each run of every quantity, all of one unit.
  private var axes: [[HorizontalAxis]] {
    let last = runs.compactMap(\.record.last)
    let tokens = HorizontalAxis.tokens(most: last.map(\.tokens).max() ?? 1)
    let time = HorizontalAxis.time(most: last.map(\.trainedSeconds).max() ?? 1)
    let most = runs.indices.compactMap(flops).max() ?? 1
    return [
      runs.map { _ in tokens }, runs.map { _ in time },
      works.map { HorizontalAxis.flops(most: most, $0) },
    ]
  }

  private func chart(
    _ title: String, _ axes: [HorizontalAxis], _ vertical: String, _ scale: Axis.Scale,
    _ figure: (RunRecord) -> (lines: [Metrics], value: (Metrics) -> Double)
  ) -> String {
    let series = runs.indices.map { index -> Chart.Series in
      let (lines, value) = figure(runs[index].record)
      let style = RunStyle(index)
      let points = lines.map { Chart.Point(axes[index].value($0), value($0)) }
        .filter { scale == .linear || $0.y > 0 && $0.y < 1e9 }
      return Chart.Series(
        runs[index].name, colour: style.colour, points: points,
        marker: style.marker, mostMarkers: 12, isSmooth: scale == .linear)
    }
    return Chart(
      title, horizontal: axes[0].label, vertical: vertical, scale: scale, series: series,
      hasLegend: false
    ).html
  }
}
