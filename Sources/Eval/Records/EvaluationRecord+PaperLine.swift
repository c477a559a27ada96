import Foundation
import Model
import Provenance

extension EvaluationRecord {
  /// The evaluation in one unambiguous line: unit, counts, text, context, rule for unknown words, model
  /// and checksums.
  package var paperLine: String {
    [
      figure,
      "text \(text)\(readingNote), MD5 \(textSums.md5), SHA-256 \(textSums.sha256)\(mappedNote)",
      context, rule,
      "model of \(Self.count(parameters)) parameters\(rowsNote), attention \(attention), "
        + "\(Self.count(vocabularySize)) tokens (tokenizer SHA-256 \(tokenizerSHA256))"
        + (precisionName.map { ", products in \($0)" } ?? ""),
      "checkpoint \(checkpoint), \(weightsName) SHA-256 \(weightsSHA256)"
        + (ngramsSHA256.map { ", \(NgramFile.name) SHA-256 \($0)" } ?? "")
        + (initialWeights.map { ", trained from \($0)" } ?? ""),
    ].joined(separator: "; ")
      + (provenance.map {
        "; computed by \($0.brief) on \($0.host) at \($0.time): \($0.command)"
      } ?? "")
  }

  private var rowsNote: String {
    ngramNumbers.map { " and \(Self.count($0)) numbers in rows of n-grams" } ?? ""
  }

  private var weightsName: String { CheckpointFolder.splitting(checkpoint).weights }

  private var figure: String {
    let error = standardError.map { String(format: " (s.e. %.2f, bootstrap over sentences)", $0) }
    let units = tally.words + tally.sentences
    return String(format: "word perplexity %.2f", tally.wordPerplexity) + (error ?? "")
      + " = exp(\(String(format: "%.2f", tally.nats)) nats / \(Self.count(units))), the "
      + "\(Self.count(tally.words, "word")) and \(Self.count(tally.sentences)) </s> of "
      + "\(Self.count(tally.sentences, "sentence")), <s> not counted"
  }

  private var readingNote: String { textReading.map { " (\($0))" } ?? "" }

  private var mappedNote: String { textIsMapped ? " (with <UNK> in place)" : "" }

  private var context: String {
    guard let window else { return "context: each sentence alone, from <s>" }
    let overlap =
      stride.map {
        ", each after at least \(Self.count(window - $0, "token")) of context (stride \(Self.count($0)))"
      } ?? ""
    return
      "context: the running text in windows of \(Self.count(window, "token"))\(overlap), across "
      + "sentences"
  }

  private var rule: String {
    guard let unknown = outOfVocabulary else {
      return "OOV: none, every word is spelt exactly by \(Self.count(tally.tokens, "token"))"
    }
    let rate = 100 * Double(unknown.words) / Double(max(1, tally.words))
    return
      "OOV: \(Self.count(unknown.words, "word")) (\(String(format: "%.2f", rate)) %) outside a "
      + "list of \(Self.count(unknown.listWords)) (SHA-256 \(unknown.listSHA256)) scored as <UNK>"
      + (unknown.isOneToken
        ? "" : ", which this tokenizer spells in several tokens and the model was not trained on")
      + (unknown.trainedListSHA256.map {
        ", while the model was trained with another list (SHA-256 \($0))"
      } ?? "")
  }

  /// `1 word`, `2 words`.
  private static func count(_ value: Int, _ noun: String) -> String {
    "\(count(value)) \(noun)\(value == 1 ? "" : "s")"
  }

  /// `159,658`.
  private static func count(_ value: Int) -> String {
    var digits = Array(String(value))
    for place in Swift.stride(from: digits.count - 3, to: 0, by: -3) {
      digits.insert(",", at: place)
    }
    return String(digits)
  }
}
