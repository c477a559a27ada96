import CommandSupport
import Eval

/// The figures of parts of a text as tables below those of the whole.
enum BreakdownTable {
  /// What was asked for, each behind an empty line.
  ///
  /// - Parameters:
  ///   - report: The figures of the text.
  ///   - model: Named in the titles, if there are several.
  static func sections(of report: PerplexityReport, model: String? = nil) -> [String] {
    let name = model.map { " (\($0))" } ?? ""
    var lines: [String] = []
    if !report.files.isEmpty {
      lines += ["", "by file" + name, Format.table(rows(report.files, total: report.tally))]
    }
    for breakdown in report.breakdowns {
      let title =
        breakdown.isByPosition
        ? "by place in the sentence, </s> included" : "by how often a token occurs in training"
      lines += [
        "", title + name, Format.table(rows(breakdown, nats: report.tally.nats)),
      ]
    }
    return lines
  }

  private static func rows(_ files: [SourceFigures], total: Tally) -> [[String]] {
    [["file", "word ppl", "token ppl", "bits/byte", "words", "sentences", "nats"]]
      + (files.map { ($0.name, $0.tally) } + [("total", total)]).map { name, tally in
        [name]
          + (tally.sentences == 0
            ? ["-", "-", "-"]
            : [
              FigureTable.number(tally.wordPerplexity, 2),
              FigureTable.number(tally.tokenPerplexity, 2),
              FigureTable.number(tally.bitsPerByte, 4),
            ]) + [
            Format.count(tally.words), Format.count(tally.sentences),
            FigureTable.number(tally.nats, 2),
          ]
      }
  }

  private static func rows(_ breakdown: Breakdown, nats: Double) -> [[String]] {
    let all = breakdown.bands.reduce(0) { $0 + $1.tokens }
    return [
      [
        breakdown.isByPosition ? "place" : "times", "token ppl", "tokens", "of all", "nats",
        "of all",
      ]
    ]
      + breakdown.bands.filter { $0.tokens > 0 }.map { band in
        [
          Format.count(band.lowest)
            + (band.highest == band.lowest ? "" : " to \(Format.count(band.highest))"),
          FigureTable.number(band.perplexity, 2), Format.count(band.tokens),
          Format.share(band.tokens, of: all), FigureTable.number(band.nats, 2),
          "\(Format.decimal(100 * band.nats / max(nats, 1e-300), 2)) %",
        ]
      }
  }
}
