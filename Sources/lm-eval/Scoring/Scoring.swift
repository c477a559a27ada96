import ArgumentParser
import CommandSupport
import Eval
import Foundation
import LMData
import Model
import Storage
import Tokenize
import Train

/// `lm-eval --perplexity`: scores a text with one model or several and prints what was asked for.
struct ScoreCommand {
  let options: LMEval

  /// What one model gave.
  struct Evaluation {
    let model: String
    let source: Source
    let report: PerplexityReport
    let record: EvaluationRecord
  }

  func run() throws {
    if let score = options.score {
      let inputs = options.text + [options.vocabulary].compactMap(\.self)
      try OutputFile.check(score, option: "--score", inputs: inputs)
    }
    let evaluations = try options.models.map(evaluate)
    let comparison = try compared(evaluations)
    if options.record { for evaluation in evaluations { try keep(evaluation) } }
    if let score = options.score, ScoreFile.isStandardOutput(score) {
      Terminal.note(ReportTable.describe(evaluations[0]))
    } else if options.printsPaperLine {
      for evaluation in evaluations { print(evaluation.record.paperLine) }
    } else if options.json {
      try printJSON(evaluations, comparison)
    } else if evaluations.count == 1 {
      print(ReportTable.describe(evaluations[0]))
    } else {
      print(ReportTable.describe(evaluations, comparison))
    }
  }

  // MARK: One model

  /// Scores a checkpoint, or the newest good one of a run.
  private func evaluate(_ path: String) throws -> Evaluation {
    var damaged: [String: String] = [:]
    while true {
      // A verdict waits for the sum of the weights; the tokenizer is read and figures are computed
      // meanwhile.
      let trained = try TrainedModel(
        path, verifyingWeights: false, damaged: damaged,
        rebuiltTokenizer: HuggingFaceTokenizer.rebuilt, note: { Terminal.note("lm-eval: \($0)") })
      let weights = WeightCheck(trained)
      do {
        return try evaluate(path, trained, weights)
      } catch {
        // One that was named is that one; what a run is resolved to is an older one then.
        // Scores on standard output cannot be taken back.
        guard let problem = weights.damage, Files.name(of: path) != Files.name(of: trained.path),
          !(options.score.map(ScoreFile.isStandardOutput) ?? false)
        else { throw error }
        damaged[trained.path] = problem
        Terminal.note("lm-eval: passed over a checkpoint: \(problem)")
      }
    }
  }

  private func evaluate(
    _ path: String, _ trained: TrainedModel, _ weights: WeightCheck
  ) throws -> Evaluation {
    var trained = trained
    let tokenizer = try LMEval.tokenizer(of: &trained)
    let source = try Source(options, trained: trained, tokenizer: tokenizer)
    let pieces = tokenizer.pieceTable()
    let scores = try options.score.map {
      try ScoreFile(
        path: $0, pieces: options.perPiece ? pieces : nil, format: options.scoreFormat ?? .table)
    }
    let name = options.models.count > 1 ? "\(trained.path): " : ""
    let report = try weights.during {
      let expectation = try trained.config.attention.expectation.map {
        try trained.model(with: $0)
      }
      let scored = try measure(
        source, scorer(expectation ?? trained.model, pieces), "\(name)scoring \(source.name)",
        into: scores)
      var report = scored
      report.notes = source.notes
      // A line to be quoted is about the expectation.
      if expectation != nil, options.hashSeeds > 0, !options.printsPaperLine {
        report.sampled = try sampled(source, trained, pieces)
      }
      return report
    }
    try finish(scores)
    if path == options.models[0] {
      for note in source.textNotes { Terminal.note("lm-eval: note: \(note)") }
    }
    return Evaluation(
      model: path, source: source, report: report,
      record: try record(of: report, source, trained, tokenizer))
  }

  private func scorer(_ model: Transformer, _ pieces: PieceTable) -> PerplexityScorer {
    PerplexityScorer(model: model, pieceTable: pieces, positions: options.batchPieces)
  }

  private func measure(
    _ source: Source, _ scorer: PerplexityScorer, _ title: String, into scores: ScoreFile? = nil
  ) throws -> PerplexityReport {
    var scorer = scorer
    if let scores { scorer.sink = { sentence in try written { try scores.append(sentence) } } }
    let progress = Progress(title, total: source.bytes) { "\(Format.bytes(Int($0)))/s" }
    var seen = 0
    scorer.progress = { tally in
      if Interrupt.isRequested { throw Interrupt.exitCode }
      progress.advance(Double(tally.bytes - seen))
      seen = tally.bytes
    }
    let report = try source.report(scorer)
    progress.finish()
    return report
  }

  private func finish(_ scores: ScoreFile?) throws {
    if let scores { try written { try scores.finish() } }
  }

  /// A reader of the scores that has gone away, as `head` does, ends the program quietly.
  private func written(_ body: () throws -> Void) throws {
    do {
      try body()
    } catch StorageError.system(_, _, EPIPE) {
      throw ExitCode.success
    }
  }

  /// The same text under the attention as it was trained, once for every draw of its numbers.
  private func sampled(
    _ source: Source, _ trained: TrainedModel, _ pieces: PieceTable
  ) throws -> EstimateSpread {
    let seeds = (0..<options.hashSeeds).map(UInt64.init)
    let perplexities = try seeds.map { seed in
      trained.model.evaluationSeed = seed
      var scorer = scorer(trained.model, pieces)
      scorer.computesError = false
      return try measure(source, scorer, "scoring with hashes of seed \(seed)").tally
        .wordPerplexity
    }
    return EstimateSpread(
      attention: "\(trained.config.attention)", seeds: seeds, wordPerplexities: perplexities)
  }

  private func record(
    of report: PerplexityReport, _ source: Source, _ trained: TrainedModel,
    _ tokenizer: SentencePieceModel
  ) throws -> EvaluationRecord {
    let folder = Files.name(of: trained.path)
    let step = folder.hasPrefix("step-") ? Int(folder.dropFirst(5)) : nil
    // Reading the weights once more is worth it only where the sum is told.
    let isTold = options.printsPaperLine || options.record
    let attention = trained.config.attention.expectation ?? trained.config.attention
    return EvaluationRecord(
      checkpoint: trained.path, step: step,
      weightsSHA256: isTold
        ? try SHA256.hexDigest(ofFile: trained.path + "/" + ModelFiles.weightsName) : "",
      parameters: trained.model.parameters.layout.count, attention: "\(attention)",
      tokenizerSHA256: trained.tokenizerSHA256, vocabularySize: tokenizer.vocabularySize,
      text: source.name, textSums: report.textSums ?? TextSums(md5: "", sha256: ""),
      textIsMapped: source.isMapped, textReading: source.reading, window: options.length,
      outOfVocabulary: source.rule.map {
        EvaluationRecord.OutOfVocabulary(
          words: report.unknownWords ?? 0, listWords: $0.words, listSHA256: $0.sha256,
          isOnePiece: tokenizer.unknownWordID != nil,
          trainedListSHA256: source.otherList?.sha256)
      }, tally: report.tally, standardError: report.standardError)
  }

  /// Adds the figures to the run that the checkpoint belongs to.
  private func keep(_ evaluation: Evaluation) throws {
    let checkpoint = evaluation.record.checkpoint
    // A folder from elsewhere is its own run.
    let run = evaluation.record.step == nil ? checkpoint : Files.parent(of: checkpoint)
    try EvaluationLog.add(evaluation.record, run: run) { Terminal.note("lm-eval: \($0)") }
    Terminal.note("recorded in \(run)/\(EvaluationLog.name)")
  }

  // MARK: Several models

  private func compared(_ evaluations: [Evaluation]) throws -> PairedBootstrap? {
    guard !options.compare.isEmpty else { return nil }
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
      let figures: PerplexityReport
    }

    let evaluations: [Named]
    let comparison: PairedBootstrap?
  }

  private func printJSON(_ evaluations: [Evaluation], _ comparison: PairedBootstrap?) throws {
    let bytes =
      if evaluations.count == 1 {
        try JSONFile.encode(evaluations[0].report)
      } else {
        try JSONFile.encode(
          Several(
            evaluations: evaluations.map {
              Several.Named(
                checkpoint: $0.record.checkpoint, parameters: $0.record.parameters,
                figures: $0.report)
            }, comparison: comparison))
      }
    print(String(decoding: bytes, as: UTF8.self), terminator: "")
  }
}
