import Eval
import Foundation
import Provenance
import Storage

/// What several runs have recorded of the same texts: figures side by side, and paired tests.
struct RecordedTexts {
  private let runs: [ComparedRun]

  init(_ runs: [ComparedRun]) {
    self.runs = runs
  }

  /// What must be equal for two figures to be compared.
  private struct Key: Hashable {
    let sha256: String
    let isMapped: Bool
    let list: String?
    let window: Int?
    let stride: Int?

    init(_ record: EvaluationRecord) {
      sha256 = record.textSums.sha256
      isMapped = record.textIsMapped
      list = record.outOfVocabulary?.listSHA256
      window = record.window
      stride = record.stride
    }
  }

  private struct Entry {
    let run: Int
    let record: EvaluationRecord
  }

  /// One part a text, in the order in which they were first recorded.
  var html: String {
    var order: [Key] = []
    var entries: [Key: [Entry]] = [:]
    for (index, run) in runs.enumerated() {
      for record in run.record.evaluations {
        let key = Key(record)
        if entries[key] == nil { order.append(key) }
        entries[key, default: []].append(Entry(run: index, record: record))
      }
    }
    guard !order.isEmpty else {
      return
        "<p class=\"note\">No run has scored a text for the record yet: <code>lm-eval perplexity "
        + "--checkpoint RUN --data DIR --split test --record</code></p>"
    }
    return order.compactMap { entries[$0].map(part) }.joined(separator: "\n")
  }

  private func part(_ entries: [Entry]) -> String {
    let first = entries[0].record
    let units = first.tally.words + first.tally.sentences
    let rule = first.outOfVocabulary.map {
      "\(Numbers.count($0.words, "word")) outside a list of \(Numbers.count($0.listWords)) as <UNK>"
    }
    let window = first.window.map { window in
      "windows of \(Numbers.count(window))"
        + (first.stride.map { ", stride \(Numbers.count($0))" } ?? "")
    }
    let title =
      [
        first.text, "\(Numbers.count(units, "word")) with </s>",
        "SHA-256 \(first.textSums.sha256.prefix(12))",
      ]
      + [rule, window].compactMap(\.self)
    let rows = entries.map { entry -> [String] in
      let (record, tally) = (entry.record, entry.record.tally)
      let error = record.standardError.map { " ± \(Numbers.decimal($0, 2))" } ?? ""
      return [
        RunStyle(entry.run).key(runs[entry.run].name),
        HTML.escaped(
          (record.step.map { "step \(Numbers.count($0))" } ?? record.checkpoint)
            + (record.checkpoint.hasSuffix(".safetensors") ? ", average" : "")),
        "<b>\(Numbers.decimal(tally.wordPerplexity, 2))</b>" + error
          + (record.precisionName.map { ", in \($0)" } ?? ""),
        Numbers.decimal(tally.tokenPerplexity, 2), Numbers.decimal(tally.bitsPerByte, 4),
        HTML.escaped(
          record.provenance.map { "\($0.brief) on \($0.host), \($0.time)" } ?? "an earlier version"),
      ]
    }
    return "<p class=\"note\">\(HTML.escaped(title.joined(separator: ", ")))</p>"
      + HTML.table(
        ["run", "checkpoint", "word perplexity", "token perplexity", "bits per byte", "by"],
        cells: rows) + tests(entries)
  }

  // MARK: Paired tests

  /// The newest record of every run, two by two, by the paired bootstrap of `lm-eval compare`.
  private func tests(_ entries: [Entry]) -> String {
    // A later record of the same text stands further down its log.
    let newest = runs.indices.compactMap { run in entries.last { $0.run == run } }
    guard newest.count > 1, newest[0].record.window == nil else { return "" }
    let sums = newest.map { entry in
      runs[entry.run].sentences.last { $0.belongs(to: entry.record) }?.sums
    }
    var rows: [[String]] = []
    for first in newest.indices {
      for second in newest.indices where second > first {
        guard let one = sums[first], let other = sums[second],
          one.map(\.units) == other.map(\.units), let test = PairedBootstrap(one, other)
        else { continue }
        rows.append([
          "\(name(newest[first])) minus \(name(newest[second]))",
          Self.spelled(test.wordPerplexity, 2), Self.spelled(test.natsPerWord, 4),
          String(format: "%.4f", test.probability),
          "\(Numbers.count(test.sentences)) sentences, \(Numbers.count(test.draws)) draws",
        ])
      }
    }
    let missing = zip(newest, sums).filter { $0.1 == nil }.map { name($0.0) }
    let note =
      missing.isEmpty
      ? ""
      : "<p class=\"note\">"
        + HTML.escaped(
          "No sentences are kept of \(missing.joined(separator: ", ")), so there is no paired test; lm-eval "
            + "perplexity --record of this version keeps them.") + "</p>"
    guard !rows.isEmpty else { return note }
    return
      HTML.table(
        ["paired bootstrap", "word perplexity", "nats per word", "p, two-sided", "over"], rows)
      + note
  }

  private func name(_ entry: Entry) -> String {
    runs[entry.run].name + (entry.record.step.map { " (step \(Numbers.count($0)))" } ?? "")
  }

  /// `-3.21 ± 0.40, 95 % -4.00 to -2.43`.
  private static func spelled(_ difference: PairedBootstrap.Difference, _ decimals: Int) -> String {
    func signed(_ value: Double) -> String {
      (value > 0 ? "+" : "") + Numbers.decimal(value, decimals)
    }
    return
      "\(signed(difference.value)) ± \(Numbers.decimal(difference.standardError, decimals)), 95 % "
      + "\(signed(difference.low)) to \(signed(difference.high))"
  }
}
