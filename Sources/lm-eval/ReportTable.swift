import CommandSupport
import Eval
import Foundation

/// A report as a table of figures, each with what it is an average over.
enum ReportTable {
  static func describe(_ report: PerplexityReport, checkpoint: String, text: String) -> String {
    let tally = report.tally
    func closed(_ count: Int, _ what: String) -> String {
      "over \(Format.count(count + tally.sentences)) \(what) "
        + "(\(Format.count(count)) + \(Format.count(tally.sentences)) </s>)"
    }
    var rows = [
      ["word perplexity", number(tally.wordPerplexity, 2), closed(tally.words, "words")],
      ["piece perplexity", number(tally.piecePerplexity, 2), closed(tally.pieces, "pieces")],
      [
        "bits per byte", number(tally.bitsPerByte, 4),
        "over \(Format.count(tally.bytes)) bytes, \(Format.count(tally.sentences)) newlines included",
      ],
    ]
    if let error = report.standardError {
      rows.append([
        "standard error", number(error, 2),
        "of the word perplexity, bootstrap over \(Format.count(tally.sentences)) sentences",
      ])
    }
    rows.append(["total", number(tally.nats, 2), "nats"])
    let width = rows.map { $0[1].count }.max() ?? 0
    var lines = ["checkpoint".padded(to: 18) + checkpoint, "text".padded(to: 18) + text]
    for row in rows {
      let space = String(repeating: " ", count: width - row[1].count)
      lines.append(row[0].padded(to: 18) + space + row[1] + "  " + row[2])
    }
    if let sampled = report.sampled {
      lines.append("")
      lines.append("The figures above are of the expectation, without random numbers. As trained:")
      lines.append("attention".padded(to: 18) + sampled.attention)
      let deviation = sampled.deviation.map { " ± " + number($0, 2) } ?? ""
      lines.append(
        "word perplexity".padded(to: 18) + number(sampled.mean, 2) + deviation
          + "  mean and deviation over \(sampled.seeds.count) draws of the hashes: "
          + sampled.wordPerplexities.map { number($0, 2) }.joined(separator: ", "))
    }
    return lines.joined(separator: "\n")
  }

  /// A figure of an untrained model may be far past what decimals are good for.
  private static func number(_ value: Double, _ decimals: Int) -> String {
    value < 1e12 ? Format.decimal(value, decimals) : String(format: "%.3e", value)
  }
}

extension String {
  fileprivate func padded(to width: Int) -> String {
    self + String(repeating: " ", count: max(0, width - count))
  }
}
