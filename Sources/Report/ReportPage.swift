import Eval
import Foundation
import Model
package import Provenance
import Storage
import Train

/// A run as one self-contained page of HTML: no network, no script.
package struct ReportPage: Sendable {
  private let run: RunRecord
  private let charts: RunCharts
  /// Of the page itself.
  private let provenance: Provenance

  /// Steps whose samples are shown; those of the others can be unfolded.
  private static let shownSamples = 8

  package init(_ run: RunRecord, provenance: Provenance = .now()) {
    self.run = run
    self.provenance = provenance
    charts = RunCharts(run)
  }

  package var html: String {
    let name = HTML.escaped(Files.name(of: run.path))
    return Page(
      title: title,
      body: """
        <header><h1>\(name)</h1>\(subtitle)</header>
        \(damages)
        \(cards)
        \(Page.section("Figures", figures))
        \(Page.section("Loss and perplexity", charts.losses))
        \(Page.section("Optimizer and machine", charts.machine))
        \(Page.section("Incidents", incidents))
        \(Page.section("Samples", samples))
        \(Page.section("Starts", starts))
        \(Page.section("Configuration", configuration))
        """, provenance: provenance
    ).html
  }

  // MARK: Head

  /// The best figure first: of many tabs the beginning is read.
  private var title: String {
    let model = run.config.model
    let figure = run.best.map { "\(Numbers.decimal($0.wordPerplexity, 1)) per word, " } ?? ""
    return "\(Files.name(of: run.path)): \(figure)\(model.attention), "
      + "\(Numbers.short(Double(run.parameters))) parameters"
      + (run.ngramNumbers == 0
        ? "" : " and \(Numbers.short(Double(run.ngramNumbers))) in rows of n-grams")
  }

  private var subtitle: String {
    let model = run.config.model
    let text =
      "preset \(run.config.preset): \(Numbers.count(model.layers, "layer")) of \(model.width), "
      + Numbers.count(model.heads, "head")
      + (model.isGrouped ? " that share \(model.keyValueHeads) of keys and values" : "")
      + ", \(Numbers.count(model.vocabularySize, "token")), "
      + "\(model.attention) with \(model.position.rawValue) positions"
    let origin = run.config.initialWeights.map {
      "<p>\(HTML.escaped("trained from \($0.sentence)"))</p>"
    }
    let last = run.starts.last.map { start in
      "<p>\(HTML.escaped(start.provenance.time)) on \(HTML.escaped(start.provenance.host)): "
        + "<code>\(HTML.escaped(start.provenance.command))</code></p>"
    }
    return "<p>\(HTML.escaped(text))</p>" + (origin ?? "") + (last ?? "")
  }

  private var damages: String {
    run.damages.map { "<p class=\"alarm\">\(HTML.escaped($0))</p>" }.joined(separator: "\n")
  }

  private var cards: String {
    var cards: [(name: String, figure: String, note: String)] = []
    if let last = run.last {
      let isDone = last.step >= run.config.steps
      cards.append(
        (
          "steps", Numbers.count(last.step),
          isDone ? "all of the run" : "of \(Numbers.count(run.config.steps))"
        ))
      cards.append(("tokens seen", Numbers.short(Double(last.tokens)), "targets, </s> included"))
      cards.append(("time in steps", Numbers.duration(last.trainedSeconds), "validation apart"))
    }
    cards.append(
      (
        "parameters", Numbers.short(Double(run.parameters)),
        Numbers.count(run.parameters)
          + (run.ngramNumbers == 0
            ? "" : " and \(Numbers.short(Double(run.ngramNumbers))) in rows of n-grams")
      ))
    if let best = run.best {
      cards.append(
        (
          "best validation", Numbers.decimal(best.wordPerplexity, 2),
          "word perplexity, step \(Numbers.count(best.step))"
        ))
    }
    if let best = run.averages.min(by: { $0.natsPerToken < $1.natsPerToken }) {
      cards.append(
        (
          "best of the average", Numbers.decimal(best.wordPerplexity, 2),
          "word perplexity, step \(Numbers.count(best.step))"
        ))
    }
    if let last = run.training.last {
      cards.append(
        ("last loss", Numbers.decimal(last.natsPerToken, 3), "nats per token, training"))
    }
    if !run.incidents.isEmpty {
      cards.append(("incidents", Numbers.count(run.incidents.count), "see below"))
    }
    return "<div class=\"cards\">"
      + cards.map {
        "<div><span>\(HTML.escaped($0.name))</span><b>\(HTML.escaped($0.figure))</b>"
          + "<span>\(HTML.escaped($0.note))</span></div>"
      }.joined() + "</div>"
  }

  // MARK: Tables

  private var figures: String {
    guard !run.evaluations.isEmpty else {
      let command =
        "lm-eval perplexity --checkpoint \(run.path) --data DIR --split test --record"
      return "<p class=\"note\">No text has been scored for the record yet: "
        + "<code>\(HTML.escaped(command))</code></p>"
    }
    let rows = run.evaluations.map { evaluation -> [String] in
      let tally = evaluation.tally
      let error = evaluation.standardError.map { " ± \(Numbers.decimal($0, 2))" } ?? ""
      let unknown = evaluation.outOfVocabulary.map {
        "\(Numbers.count($0.words)) scored as <UNK>, list of \(Numbers.count($0.listWords))"
      }
      return [
        evaluation.step.map { "step \(Numbers.count($0))" } ?? evaluation.checkpoint,
        evaluation.text,
        Numbers.decimal(tally.wordPerplexity, 2) + error
          + (evaluation.precisionName.map { ", in \($0)" } ?? ""),
        Numbers.count(tally.words + tally.sentences),
        Numbers.decimal(tally.tokenPerplexity, 2), Numbers.decimal(tally.bitsPerByte, 4),
        unknown ?? "none, spelt exactly",
        evaluation.window.map { window in
          "windows of \(Numbers.count(window))"
            + (evaluation.stride.map { ", stride \(Numbers.count($0))" } ?? "")
        } ?? "sentence",
      ]
    }
    let lines = run.evaluations.map { "<p><code>\(HTML.escaped($0.paperLine))</code></p>" }
    return HTML.table(
      [
        "checkpoint", "text", "word perplexity", "words with </s>", "token perplexity",
        "bits per byte", "unknown words", "context",
      ], rows) + "<details><summary>To be quoted whole</summary>" + lines.joined() + "</details>"
  }

  private var incidents: String {
    guard !run.incidents.isEmpty else { return "" }
    return HTML.table(
      ["step", "kind", "what happened"],
      run.incidents.map { [Numbers.count($0.step), $0.kind.rawValue, "\($0)"] })
  }

  private var starts: String {
    guard !run.starts.isEmpty else { return "" }
    return HTML.table(
      ["time (UTC)", "after step", "on", "by", "command"],
      run.starts.map { start in
        [
          start.provenance.time, Numbers.count(start.step),
          "\(start.provenance.host), \(start.description)",
          start.provenance.brief, start.provenance.command,
        ]
      })
  }

  private var samples: String {
    guard !run.samples.isEmpty else { return "" }
    let count = run.samples.count
    let shown = min(count, Self.shownSamples)
    // The first, the last and as many between them.
    let chosen = Set((0..<shown).map { shown == 1 ? 0 : $0 * (count - 1) / (shown - 1) })
    func list(_ samples: [TrainingSample]) -> String {
      samples.map { sample in
        "<div class=\"sample\"><b>step \(Numbers.count(sample.step))</b><ol>"
          + sample.texts.map { "<li>\(HTML.escaped($0))</li>" }.joined() + "</ol></div>"
      }.joined(separator: "\n")
    }
    let rest = run.samples.indices.filter { !chosen.contains($0) }.map { run.samples[$0] }
    let more =
      rest.isEmpty
      ? ""
      : "<details><summary>\(Numbers.count(rest.count)) more</summary>\(list(rest))</details>"
    return "<p class=\"note\">Drawn with the same random numbers after every step.</p>"
      + list(chosen.sorted().map { run.samples[$0] }) + more
  }

  private var configuration: String {
    let leaves = ConfigurationLeaves.of(run.config)
    guard !leaves.isEmpty else { return "" }
    return "<dl>"
      + leaves.map {
        "<div><dt>\(HTML.escaped($0.key))</dt><dd>\(HTML.escaped($0.value))</dd></div>"
      }.joined(separator: "\n") + "</dl>"
  }
}
