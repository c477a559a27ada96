import Eval
import Foundation
package import Provenance
import Storage
import Train

/// Several runs on one self-contained page of HTML: curves on the same axes, figures, the options that differ,
/// and whether two differ by more than chance where both have scored the same text.
package struct RunsPage: Sendable {
  private let runs: [ComparedRun]
  private let charts: RunsCharts
  private let provenance: Provenance

  package init(_ runs: [ComparedRun], provenance: Provenance = .now()) {
    self.runs = runs
    self.provenance = provenance
    charts = RunsCharts(runs)
  }

  package var html: String {
    Page(
      title: title,
      body: """
        <header><h1>\(HTML.escaped(heading))</h1>\(subtitle)</header>
        \(damages)
        \(Page.section("Runs", overview))
        \(Page.section("Curves", curves))
        \(Page.section("Scored texts", RecordedTexts(runs).html))
        \(Page.section("Options that differ", differences))
        \(Page.section("Starts", starts))
        """, style: RunStyle.sheet(runs.count), provenance: provenance
    ).html
  }

  /// What is wrong with the logs, a sentence each.
  package var damagesOfLogs: [String] { runs.flatMap(\.record.damages) }

  // MARK: Head

  /// The best figure first: of many tabs the beginning is read.
  private var title: String {
    let best = runs.compactMap { run in run.record.best.map { (run.name, $0.wordPerplexity) } }
      .min { $0.1 < $1.1 }
    let figure = best.map { "best \(Numbers.decimal($0.1, 1)) per word of \($0.0)" }
    return "\(runs.count) runs: " + (figure.map { $0 + ", of " } ?? "")
      + runs.map(\.name).joined(separator: ", ")
  }

  private var heading: String {
    "\(runs.count) runs: " + runs.map(\.name).joined(separator: ", ")
  }

  private var subtitle: String {
    let shared = Set(runs.map(\.dataSHA256))
    let data =
      shared.count == 1
      ? runs[0].dataSHA256.map { "All are trained on the same data (\($0.prefix(12)))." }
        ?? "No run says what data it was trained on."
      : "The data differ, or are not known of every run: validation texts and tokens need not be the same."
    return "<p>\(HTML.escaped(data))</p>"
  }

  private var damages: String {
    damagesOfLogs.map { "<p class=\"alarm\">\(HTML.escaped($0))</p>" }.joined(separator: "\n")
  }

  // MARK: Parts

  private var overview: String {
    let tellsData = Set(runs.map(\.dataSHA256)).count > 1
    var header = [
      "run", "parameters", "steps", "tokens seen", "time in steps", "work", "best validation",
      "last loss", "by",
    ]
    if tellsData { header.append("data") }
    let rows = runs.indices.map { index -> [String] in
      let data = runs[index].dataSHA256.map { String($0.prefix(12)) } ?? "not known"
      return row(index) + (tellsData ? [data] : [])
    }
    return HTML.table(header, cells: rows)
      + "<p class=\"note\">Best validation is a word perplexity, the last loss nats per token of training. "
      + (charts.countsAttention
        ? "Work is that of matrix products and attention, forward and backward."
        : "Work is that of matrix products, forward and backward; attention between positions is left out, as "
          + "the shards of some run are not where it says, and with them the lengths of the sentences.")
      + "</p>"
  }

  /// Cells of the overview.
  private func row(_ index: Int) -> [String] {
    let (run, record) = (runs[index], runs[index].record)
    var cells = [RunStyle(index).key(run.name), record.size]
    if let last = record.last {
      let steps = Numbers.count(last.step)
      let all = record.config.steps
      cells.append(
        last.step >= all ? "\(steps), all" : "\(steps) of \(Numbers.count(all)), unfinished")
      cells.append(Numbers.short(Double(last.tokens)))
      cells.append(Numbers.duration(last.trainedSeconds))
    } else {
      cells += ["none", "none", "none"]
    }
    cells.append(charts.flops(index).map { Numbers.short($0) + "FLOP" } ?? "none")
    if let best = record.best {
      let figure = Numbers.decimal(best.wordPerplexity, 2)
      cells.append("<b>\(figure)</b> at step \(Numbers.count(best.step))")
    } else {
      cells.append("none")
    }
    if let loss = record.training.last {
      let sampled = loss.softmaxCandidates == nil ? "" : ", sampled"
      cells.append(Numbers.decimal(loss.natsPerToken, 3) + sampled)
    } else {
      cells.append("none")
    }
    cells.append(HTML.escaped(record.starts.last?.provenance.brief ?? "an earlier version"))
    return cells
  }

  private var curves: String {
    let keys = runs.indices.map { RunStyle($0).key(runs[$0].name) }
    let silent = runs.filter { $0.record.validation.isEmpty }.map(\.name)
    let note =
      silent.isEmpty
      ? ""
      : "<p class=\"note\">\(HTML.escaped("Without validation: " + silent.joined(separator: ", ")))</p>"
    return "<div class=\"runs\">\(keys.joined())</div>" + note + charts.html
  }

  /// The leaves of the configurations that are not the same in all runs.
  private var differences: String {
    let leaves = runs.map { run in
      Dictionary(
        ConfigurationLeaves.of(run.record.config).map { ($0.key, $0.value) },
        uniquingKeysWith: { first, _ in first })
    }
    let keys = Set(leaves.flatMap(\.keys)).filter { key in Set(leaves.map { $0[key] }).count > 1 }
    guard !keys.isEmpty else { return "<p class=\"note\">None.</p>" }
    return HTML.table(
      ["option"] + runs.map(\.name),
      keys.sorted().map { key in [key] + leaves.map { $0[key] ?? "–" } })
  }

  private var starts: String {
    let rows = runs.flatMap { run in
      run.record.starts.map { start in
        [
          run.name, start.provenance.time, Numbers.count(start.step),
          "\(start.provenance.host), \(start.description)", start.provenance.brief,
          start.provenance.command,
        ]
      }
    }
    guard !rows.isEmpty else { return "" }
    return HTML.table(["run", "time (UTC)", "after step", "on", "by", "command"], rows)
  }
}

extension RunStart {
  /// `cpu, 2 processes, 4 threads`.
  var description: String {
    let processes = ranks > 1 ? "\(ranks) processes, " : ""
    return "\(device), \(processes)\(threads) thread\(threads == 1 ? "" : "s")"
  }
}
