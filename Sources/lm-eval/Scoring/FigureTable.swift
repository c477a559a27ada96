import CommandSupport
import Eval
import Foundation

/// A report as a table of figures, each with what it is an average over.
enum FigureTable {
  static func describe(_ evaluation: Scoring.Evaluation) -> String {
    let (report, source) = (evaluation.report, evaluation.source)
    let tally = report.tally
    var rows = figures(report)
    if let error = report.standardError {
      rows.append([
        "standard error", number(error, 2),
        "of the word perplexity, bootstrap over \(Format.count(tally.sentences, "sentence"))",
      ])
    }
    if let (count, meaning) = unknown(evaluation) {
      rows.append(["out of vocabulary", count, meaning])
    }
    rows.append(["total", number(tally.nats, 2), "nats"])
    var lines = [
      "checkpoint".padded(to: 18) + evaluation.record.checkpoint,
      "text".padded(to: 18) + source.name,
    ]
    if let origin = evaluation.record.initialWeights {
      lines.insert("trained from".padded(to: 18) + origin, at: 1)
    }
    if let precision = evaluation.record.precisionName {
      lines.append("precision".padded(to: 18) + precision)
    }
    lines += aligned(rows)
    if let sampled = report.sampled { lines += describe(sampled) }
    if let mixture = evaluation.mixture { lines += describe(mixture) }
    lines += BreakdownTable.sections(of: report)
    lines += source.notes.map { "note".padded(to: 18) + $0 }
    return lines.joined(separator: "\n")
  }

  /// Several models on one text, and how two of them differ.
  static func describe(
    _ evaluations: [Scoring.Evaluation], _ comparison: PairedBootstrap?
  ) -> String {
    let tally = evaluations[0].report.tally
    let hasError = evaluations.allSatisfy { $0.report.standardError != nil }
    let hasRows = evaluations.contains { $0.record.ngramNumbers != nil }
    var rows = [
      ["checkpoint", "word ppl"] + (hasError ? ["s.e."] : []) + [
        "token ppl", "tokens", "bits/byte", "parameters",
      ] + (hasRows ? ["in rows of n-grams"] : [])
    ]
    for evaluation in evaluations {
      let report = evaluation.report
      let error = report.standardError.map { [number($0, 2)] } ?? []
      rows.append(
        [evaluation.record.checkpoint, number(report.tally.wordPerplexity, 2)] + error + [
          number(report.tally.tokenPerplexity, 2),
          Format.count(report.tally.tokens + report.tally.sentences),
          number(report.tally.bitsPerByte, 4), Format.count(evaluation.record.parameters),
        ] + (hasRows ? [Format.count(evaluation.record.ngramNumbers ?? 0)] : []))
    }
    var lines = ["text".padded(to: 18) + evaluations[0].source.name]
    if let precision = evaluations[0].record.precisionName {
      lines.append("precision".padded(to: 18) + precision)
    }
    lines.append("words".padded(to: 18) + closed(tally.words, "word", tally.sentences))
    let rules = evaluations.map(\.source.rule)
    if rules.allSatisfy({ $0 == rules[0] }) {
      if let (count, meaning) = unknown(evaluations[0]) {
        lines.append("out of vocabulary".padded(to: 18) + count + "  " + meaning)
      }
    } else {
      for evaluation in evaluations {
        let (count, meaning) = unknown(evaluation) ?? ("none", "every word is spelt exactly")
        lines.append(
          "out of vocabulary".padded(to: 18) + count + "  \(meaning) (\(evaluation.model))")
      }
      lines.append(
        "note".padded(to: 18) + "the models score other words as <UNK>, so their figures cannot be "
          + "compared; give all the same list with --vocabulary")
    }
    lines += ["", Format.table(rows)]
    if let comparison { lines += [""] + describe(comparison) }
    for evaluation in evaluations {
      lines += BreakdownTable.sections(of: evaluation.report, model: evaluation.record.checkpoint)
    }
    for (note, models) in notes(evaluations) { lines.append("note (\(models)): \(note)") }
    let sampled = evaluations.filter { $0.report.sampled != nil }
    if !sampled.isEmpty {
      lines.append("Sampled attentions are scored by their expectation, without random numbers.")
      lines.append("As trained, word perplexity over draws of the hashes:")
      lines += sampled.compactMap { evaluation in
        evaluation.report.sampled.map {
          "  \(evaluation.record.checkpoint)  \(describe(spread: $0))"
        }
      }
    }
    return lines.joined(separator: "\n")
  }

  // MARK: Parts

  private static func figures(_ report: PerplexityReport) -> [[String]] {
    let tally = report.tally
    return [
      [
        "word perplexity", Terminal.bold(number(tally.wordPerplexity, 2)),
        closed(tally.words, "word", tally.sentences),
      ],
      [
        "token perplexity", number(tally.tokenPerplexity, 2),
        closed(tally.tokens, "token", tally.sentences),
      ],
      [
        "bits per byte", number(tally.bitsPerByte, 4),
        "over \(Format.count(tally.bytes, "byte")), \(Format.count(tally.sentences, "newline")) "
          + "included" + (report.unknownWords == nil ? "" : ", of the text with <UNK> in it"),
      ],
    ]
  }

  private static func unknown(
    _ evaluation: Scoring.Evaluation
  ) -> (count: String, meaning: String)? {
    guard let words = evaluation.report.unknownWords, let rule = evaluation.source.rule else {
      return nil
    }
    return (
      Format.count(words),
      "\(words == 1 ? "word" : "words") (\(Format.share(words, of: evaluation.report.tally.words))) outside a list of "
        + "\(Format.count(rule.words)), scored as <UNK>"
    )
  }

  private static func closed(_ count: Int, _ what: String, _ sentences: Int) -> String {
    "over \(Format.count(count + sentences, what)) "
      + "(\(Format.count(count)) + \(Format.count(sentences)) </s>)"
  }

  /// `67.1 ± 0.2  mean and deviation over 4 draws of the hashes: …`.
  private static func describe(spread sampled: EstimateSpread) -> String {
    let deviation = sampled.deviation.map { " ± " + number($0, 2) } ?? ""
    return number(sampled.mean, 2) + deviation
      + "  mean and deviation over \(Format.count(sampled.seeds.count, "draw")) of the hashes: "
      + sampled.wordPerplexities.map { number($0, 2) }.joined(separator: ", ")
  }

  private static func describe(_ sampled: EstimateSpread) -> [String] {
    [
      "", "The figures above are of the expectation, without random numbers. As trained:",
      "attention".padded(to: 18) + sampled.attention,
      "word perplexity".padded(to: 18) + describe(spread: sampled),
    ]
  }

  private static func describe(_ comparison: PairedBootstrap) -> [String] {
    func row(_ name: String, _ difference: PairedBootstrap.Difference, _ decimals: Int) -> [String]
    {
      [
        name, signed(difference.value, decimals),
        "± \(number(difference.standardError, decimals)), 95 % interval "
          + "\(signed(difference.low, decimals)) to \(signed(difference.high, decimals))",
      ]
    }
    return [
      "First minus second, paired bootstrap over \(Format.count(comparison.sentences)) sentences "
        + "(\(Format.count(comparison.draws)) draws, seed \(comparison.seed)):"
    ]
      + aligned([
        row("word perplexity", comparison.wordPerplexity, 2),
        row("nats per word", comparison.natsPerWord, 4),
        [
          "p", String(format: "%.4f", comparison.probability),
          "two-sided: draws at least this far off if there were no difference",
        ],
      ])
  }

  /// Every note once, with the models it is about.
  private static func notes(
    _ evaluations: [Scoring.Evaluation]
  ) -> [(note: String, models: String)] {
    var order: [String] = []
    var models: [String: [String]] = [:]
    for evaluation in evaluations {
      for note in evaluation.source.notes {
        if models[note] == nil { order.append(note) }
        models[note, default: []].append(evaluation.model)
      }
    }
    return order.map { ($0, models[$0, default: []].joined(separator: ", ")) }
  }

  /// Names, figures to the right, meanings.
  static func aligned(_ rows: [[String]]) -> [String] {
    let width = rows.map { Terminal.width(of: $0[1]) }.max() ?? 0
    return rows.map { row in
      let space = String(repeating: " ", count: width - Terminal.width(of: row[1]))
      return row[0].padded(to: 18) + space + row[1] + "  " + row[2]
    }
  }

  private static func signed(_ value: Double, _ decimals: Int) -> String {
    (value > 0 ? "+" : "") + number(value, decimals)
  }

  /// A figure of an untrained model may be far past what decimals are good for.
  static func number(_ value: Double, _ decimals: Int) -> String {
    value < 1e12 ? Format.decimal(value, decimals) : String(format: "%.3e", value)
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
