import Eval
import Foundation
import LMData
import Model
import Provenance
import Report
import Storage
import TestSupport
import Testing
import Train

@Suite struct AxisTests {
  @Test(
    arguments: [
      [0.0, 1], [3.1, 9.7], [-2, 5], [1e-6, 3e-6], [0, 123_456_789], [5, 5], [0, 0],
      [99_999, 100_001],
    ] as [[Double]])
  func linearAxesHoldTheirValues(values: [Double]) {
    let axis = Axis("x", values)
    for value in values { #expect((0...1).contains(axis.position(value)), "\(axis)") }
    #expect((3...12).contains(axis.ticks.count), "\(axis.ticks)")
    #expect(axis.ticks.allSatisfy { (-1e-9...1.000_000_001).contains(axis.position($0)) })
    // Ticks that look the same would lie.
    #expect(Set(axis.ticks.map(axis.spelled)).count == axis.ticks.count, "\(axis.ticks)")
  }

  @Test(
    arguments: [
      [50.0, 900], [1, 1e9], [79.3, 79.4], [120, 120], [0.01, 2e4], [1_000, 250_000],
    ] as [[Double]])
  func logarithmicAxesHoldTheirValues(values: [Double]) {
    let axis = Axis("x", values, scale: .logarithmic)
    for value in values { #expect((0...1).contains(axis.position(value)), "\(axis)") }
    #expect((1...14).contains(axis.ticks.count), "\(axis.ticks)")
    #expect(Set(axis.ticks.map(axis.spelled)).count == axis.ticks.count, "\(axis.ticks)")
  }

  @Test func ticksArePlainNumbers() {
    let axis = Axis("x", [0, 9.3], fromZero: true)
    #expect(axis.ticks.map(axis.spelled) == ["0", "2", "4", "6", "8", "10"])
    let small = Axis("x", [0, 0.0031], fromZero: true)
    #expect(small.ticks.map(small.spelled).prefix(3) == ["0", "0.0005", "0.0010"])
    let large = Axis("x", [0, 43_000], fromZero: true)
    #expect(large.ticks.map(large.spelled).last == "50,000")
    let log = Axis("x", [40, 1_200], scale: .logarithmic)
    #expect(log.ticks.map(log.spelled) == ["50", "100", "200", "500", "1000"])
  }
}

@Suite struct ChartTests {
  @Test func linesAreThinnedButKeepTheirEnds() {
    let points = (0..<5_000).map { Chart.Point(Double($0), Double($0 * $0)) }
    let thin = Chart.thinned(points, to: 800)
    #expect(thin.count == 800 && thin.first == points.first && thin.last == points.last)
    #expect(zip(thin, thin.dropFirst()).allSatisfy { $0.x < $1.x })
    #expect(Chart.thinned(Array(points.prefix(3)), to: 800).count == 3)
  }

  @Test func meansStayInTheirPlace() {
    let line = (0..<400).map { Chart.Point(Double($0), 3 * Double($0)) }
    for (mean, point) in zip(Chart.smoothed(line), line) {
      #expect(mean.x == point.x && abs(mean.y - point.y) < 1e-9)
    }
  }

  @Test func oneOrNoPointIsNoTrouble() {
    let one = Chart(
      "<Loss>", horizontal: "steps", vertical: "nats",
      series: [Chart.Series("training", colour: "first", points: [Chart.Point(5, 2)])])
    #expect(one.html.contains("<path class=\"mark first\"") && !one.html.contains("<polyline"))
    #expect(one.html.contains("&lt;Loss&gt;") && !one.html.contains("nan"))
    let none = Chart(
      "Loss", horizontal: "steps", vertical: "nats",
      series: [Chart.Series("training", colour: "first", points: [Chart.Point(.nan, 2)])])
    #expect(none.html.isEmpty)
  }

  @Test func markupIsEscaped() {
    #expect(HTML.escaped("a<b> & \"c\" \u{1}é") == "a&lt;b&gt; &amp; &quot;c&quot; \u{FFFD}é")
  }
}

@Suite struct ReportPageTests {
  private static let provenance = Provenance(
    program: "lm-eval 1.0", commit: "unknown", host: "here", time: "2026-11-28T03:20:00Z",
    command: "lm-eval report run")

  /// A run folder as the trainer leaves it after a number of lines.
  private func write(_ lines: Int, to run: String) throws {
    let config = try Preset.named("quickstart").config(vocabularySize: 300)
    try JSONFile.write(config, to: run + "/config.json")
    let log = try MetricsLog(run: run, keepingUpTo: 0)
    for line in 1...lines {
      try log.append(
        try JSONFile.decode(
          Metrics.self,
          from: Array(
            """
            {"kind":"train","step":\(10 * line),"tokens":\(4_000 * line),"natsPerToken":\
            \(9 / Double(line)),"wordPerplexity":\(9_000 / Double(line)),"learningRate":0.001,\
            "gradientNorm":1.5,"tokensPerSecond":900,"trainedSeconds":\(2 * line)}
            """.utf8), path: "line"))
    }
  }

  @Test func oneIsNoPlural() throws {
    let folder = try TemporaryFolder()
    try write(1, to: folder.path)
    var config = try Preset.named("quickstart").config(vocabularySize: 300)
    (config.model.layers, config.model.heads) = (1, 1)
    try JSONFile.write(config, to: folder.path + "/config.json")
    let html = ReportPage(try RunRecord(path: folder.path), provenance: Self.provenance).html
    #expect(html.contains("1 layer of \(config.model.width), 1 head, 300 tokens"))
  }

  @Test(arguments: [1, 2, 300]) func anyNumberOfLinesMakesAPage(lines: Int) throws {
    let folder = try TemporaryFolder()
    try write(lines, to: folder.path)
    let run = try RunRecord(path: folder.path + "/")
    #expect(run.training.count == lines && run.validation.isEmpty)
    let html = ReportPage(run, provenance: Self.provenance).html
    #expect(html.contains("<footer>Written by lm-eval 1.0 (commit unknown) on here at 2026-"))
    #expect(html.contains("Learning rate") && html.contains("--record"))
    #expect(!html.contains("nan") && !html.contains("inf\""))
    #expect(html.contains("dropout") && html.contains("report.logEvery"))
    // Every tag that opens closes.
    for tag in ["svg", "figure", "section", "div", "table", "dl", "text"] {
      let opened = html.components(separatedBy: "<\(tag)").count
      #expect(opened == html.components(separatedBy: "</\(tag)>").count, "\(tag)")
    }
  }

  @Test func incidentsAndSamplesAreShownAsText() throws {
    let folder = try TemporaryFolder()
    try write(5, to: folder.path)
    let samples = try StepLog<TrainingSample>(run: folder.path, keepingUpTo: 0)
    for step in 1...20 {
      try samples.append(TrainingSample(step: step, texts: ["<b>the king</b> & \(step)"]))
    }
    try folder.write(
      """
      {"cursor":{"epoch":0,"sentence":7,"shard":1},"gradientNorm":8,"kind":"spike","natsPerToken":\
      12,"tokens":90,"sequences":3,"step":30,"threshold":7}

      """, to: "incidents.jsonl")
    let html = ReportPage(
      try RunRecord(path: folder.path), provenance: Self.provenance
    ).html
    #expect(html.contains("&lt;b&gt;the king&lt;/b&gt; &amp; 20") && html.contains("12 more"))
    #expect(html.contains("the loss leapt to 12.0 nats per token"))
    #expect(html.contains("class=\"incident\""))
  }

  @Test func whatIsNoRunIsNamed() throws {
    let folder = try TemporaryFolder()
    #expect(throws: ReportError.notARun(path: folder.path)) { try RunRecord(path: folder.path) }
    let config = try Preset.named("quickstart").config(vocabularySize: 300)
    try JSONFile.write(config, to: folder.path + "/config.json")
    try folder.write("", to: MetricsLog.name)
    #expect(throws: ReportError.noMetrics(run: folder.path)) { try RunRecord(path: folder.path) }
  }
}
