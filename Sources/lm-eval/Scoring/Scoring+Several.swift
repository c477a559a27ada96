import CommandSupport
import Eval
import Storage

/// Several models on one text.
extension Scoring {
  /// Refuses a test of two figures where different words are `<UNK>`.
  func checkRules(_ first: Evaluation, _ source: TextSource, of path: String) throws {
    guard first.source.rule != source.rule else { return }
    func words(_ rule: TextSource.UnknownWordRule?) -> String {
      rule.map {
        "every word outside a list of \(Format.count($0.words)) (SHA-256 \($0.sha256)) as <UNK>"
      } ?? "every word exactly"
    }
    throw CommandError(
      "\(first.model) scores \(words(first.source.rule)), \(path) \(words(source.rule)), so their "
        + "figures cannot be compared; give both the same list with --vocabulary")
  }

  func compare(_ evaluations: [Evaluation]) throws -> PairedBootstrap {
    let (first, second) = (evaluations[0].report, evaluations[1].report)
    guard first.textSums == second.textSums,
      first.sentences.map(\.units) == second.sentences.map(\.units)
    else {
      throw CommandError("the text has changed between the two models; compare them again")
    }
    guard let comparison = PairedBootstrap(first.sentences, second.sentences) else {
      throw CommandError("one sentence is not enough to compare two models by")
    }
    return comparison
  }

  private struct Several: Encodable {
    struct Named: Encodable {
      let checkpoint: String
      let parameters: Int
      /// Absent if the model has no rows of n-grams.
      let ngramNumbers: Int?
      let figures: PerplexityReport
    }

    let evaluations: [Named]
    let comparison: PairedBootstrap?
  }

  func printJSON(_ evaluations: [Evaluation], _ comparison: PairedBootstrap?) throws {
    let bytes =
      if evaluations.count == 1 {
        try JSONFile.encode(
          MixedReport(report: evaluations[0].report, mixture: evaluations[0].mixture))
      } else {
        try JSONFile.encode(
          Several(
            evaluations: evaluations.map {
              Several.Named(
                checkpoint: $0.record.checkpoint, parameters: $0.record.parameters,
                ngramNumbers: $0.record.ngramNumbers, figures: $0.report)
            }, comparison: comparison))
      }
    print(String(decoding: bytes, as: UTF8.self), terminator: "")
  }
}
