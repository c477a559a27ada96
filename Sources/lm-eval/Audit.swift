import ArgumentParser
import CommandSupport
import Deterministic
import Eval
import Foundation
import LMData
import Model
import Storage
import Tensor
import Tokenize

/// Audits a model on sentences and prints the checks with a verdict.
struct Audit {
  static let defaultSentences = 50

  let checkpoint: String
  let text: TextOptions
  /// Most sentences that are read.
  let sentences: Int
  let work: WorkOptions
  let json: Bool

  /// Tokens of the running text that the sentences are joined into, long enough for the far levels of a
  /// hierarchical attention.
  private static let runningLength = 512
  /// Tokens of the longest sentence; a longer one, perhaps a whole file without a newline, is cut
  /// there: the logits of a sequence are held at once.
  private static let longestSentence = 2_048

  /// Throws unless the number of sentences is in range.
  static func check(sentences: Int, option: String) throws {
    guard (1...1_000_000).contains(sentences) else {
      throw ValidationError("\(option) is \(sentences), expected 1 to 1000000")
    }
  }

  func run() throws {
    try text.keepPipes()
    var trained = try TrainedModel(
      checkpoint, on: work.kernels(), verifyingWeights: true,
      rebuiltTokenizer: HuggingFaceTokenizer.rebuilt,
      note: LMEval.note)
    let tokenizer = try LMEval.tokenizer(of: &trained)
    Interrupt.handle(message: "\(LMEval.name): stopping; there is no verdict")
    let (whole, source) = try read(trained, tokenizer)
    let sentences = whole.map { $0.prefix(Self.longestSentence) }
    guard sentences.contains(where: { $0.ids.count > 1 }) else {
      throw EvaluationError.invalid(
        "\(source) has nothing but empty sentences, in which no past can be told from a future; "
          + "give --text FILE with words in it")
    }
    let cut = whole.count { $0.ids.count > Self.longestSentence }
    let name =
      cut == 0 ? source : "\(source), \(cut) cut after \(Format.count(Self.longestSentence))"
    let sequences =
      sentences + [
        AuditSequence(
          joining: sentences, length: Self.runningLength, place: "the sentences as one text")
      ]
    // An attention that draws random numbers is audited as it was trained and by its expectation.
    let expectation = try trained.config.attention.expectation.map { try trained.model(with: $0) }
    let reports = try ([trained.model] + (expectation.map { [$0] } ?? [])).map {
      try audit($0, sequences)
    }
    if json {
      print(String(decoding: try JSONFile.encode(reports), as: UTF8.self), terminator: "")
    } else {
      for report in reports {
        print(Self.describe(report, checkpoint: trained.path, text: name), terminator: "\n\n")
      }
      print(
        reports.allSatisfy(\.passed)
          ? Terminal.styled("passed:", .green, on: .output)
            + " no way was found in which this model sees the future, or its company"
          : Terminal.styled("FAILED:", .red, on: .output)
            + " figures of this model are not to be trusted")
    }
    if !reports.allSatisfy(\.passed) { throw ExitCode(1) }
  }

  private func audit(_ model: Transformer, _ sequences: [AuditSequence]) throws -> AuditReport {
    var auditor = Auditor(
      model, sequences: sequences, positions: min(work.batchTokens, Evaluator.defaultPositions))
    let progress = Progress(
      "auditing \(model.config.attention)", total: Double(auditor.work)
    ) { "\(Format.count(Int($0))) tokens/s" }
    auditor.progress = { positions in
      if Interrupt.isRequested { throw Interrupt.exitCode }
      progress.advance(Double(positions))
    }
    let report = try auditor.run()
    progress.finish()
    return report
  }

  // MARK: Sentences

  private func read(
    _ trained: TrainedModel, _ tokenizer: SentencePieceModel
  ) throws -> (sentences: [AuditSequence], name: String) {
    let config = trained.config
    var found: [AuditSequence] = []
    let name: String
    if let data = text.data {
      let dataSet = try DataSet(directory: data)
      try trained.check(dataSet)
      let split = text.splits[0]
      name = "split \(split) of \(data)"
      var source = try EvaluationSource(
        dataSet: dataSet, split: split, mode: .sentences, budget: 1_024)
      while found.count < sentences, let batch = try source.nextBatch() {
        for index in 0..<batch.sequences {
          found.append(
            AuditSequence(
              ids: Array(batch.inputs(of: index)), targets: Array(batch.targets(of: index)),
              place: "sentence \(found.count + 1) of \(split)"))
        }
      }
    } else if !text.text.isEmpty {
      name = text.text.map(PipeSpool.name).joined(separator: ", ")
      let lines = try FileLines(
        text.text, encoder: LineEncoder(model: tokenizer), lineEnds: text.lineEnds)
      while found.count < sentences, let line = try lines.next() {
        found.append(
          AuditSequence(
            sentence: line.ids, bos: config.bosID, eos: config.eosID, place: line.place))
      }
    } else {
      name = "tokens drawn at random"
      found = (0..<sentences).map { Self.drawn($0, config) }
    }
    guard !found.isEmpty else { throw EvaluationError.nothingToScore }
    return (Array(found.prefix(sentences)), name)
  }

  /// A sentence of 1 to 48 tokens of any kind.
  private static func drawn(_ number: Int, _ config: ModelConfig) -> AuditSequence {
    let random = CounterRandom(seed: 1, 0xD4A3, UInt64(number))
    let ids = (0..<Int(1 + random.bits(0) % 48)).map {
      Int32(random.bits(UInt64($0) + 1) % UInt64(config.vocabularySize))
    }
    return AuditSequence(
      sentence: ids, bos: config.bosID, eos: config.eosID, place: "random sentence \(number + 1)")
  }

  // MARK: The table

  private static func describe(
    _ report: AuditReport, checkpoint: String, text: String
  ) -> String {
    func line(_ name: String, _ rest: String) -> String {
      name + String(repeating: " ", count: max(1, 18 - name.count)) + rest
    }
    var lines = [
      line("checkpoint", checkpoint), line("attention", report.subject),
      line(
        "text",
        "\(text): \(Format.count(report.sequences, "sequence")), "
          + Format.count(report.tokens, "token")
      ),
    ]
    for check in report.checks {
      let count = Format.count(check.comparisons)
      let times = Format.count(check.comparisons, "time")
      if let failure = check.firstFailure {
        lines.append(
          line(
            check.name,
            "FAILED  \(Format.count(check.failures)) of \(count): \(check.requirement)"))
        lines.append(line("", "first: \(failure)"))
      } else if check.comparisons == 0 {
        lines.append(line(check.name, "FAILED  nothing to try it on: \(check.requirement)"))
      } else {
        lines.append(line(check.name, "passed  \(times): \(check.requirement)"))
      }
    }
    return lines.joined(separator: "\n")
  }
}
