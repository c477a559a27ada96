import ArgumentParser
import CommandSupport
import Communication
import Eval
import Foundation
import LMData
import Model
import Ngrams
import Provenance
import Storage
import Tensor
import Tokenize
import Train

/// Scores a text with one or several models and writes the results in the chosen form.
struct Scoring {
  /// A line of scores for every sentence, and where it goes.
  struct Scores {
    let path: String
    /// The option that named the file.
    let option: String
    let format: ScoreFormat
    let unit: ScoreUnit

    var isStandardOutput: Bool { ScoreFile.isStandardOutput(path) }
  }

  /// In the order in which they were given.
  let models: [String]
  /// Whether the difference of two models is tested.
  var isComparison = false
  let text: TextOptions
  let vocabulary: String?
  /// Window on the running text in tokens; nil if every sentence stands alone.
  var window: Int?
  /// How far a window begins after the one before; nil if they do not overlap.
  var stride: Int?
  var breakdown: BreakdownOptions?
  /// An n-gram model that the only model is interpolated with.
  var mix: MixOptions?
  let figures: FigureOptions
  var printsPaperLine = false
  let work: WorkOptions
  /// The processes that score together.
  var communicator: any Communicator = SingleProcess()
  var scores: Scores?

  /// The figures of one model.
  struct Evaluation {
    let model: String
    let source: TextSource
    let report: PerplexityReport
    let record: EvaluationRecord
    /// Set if there is an n-gram model.
    var mixture: MixtureFigures?
  }

  func run() throws {
    try text.keepPipes(vocabulary: vocabulary)
    Interrupt.handle(message: "\(LMEval.name): stopping; nothing is written")
    if let scores {
      try OutputFile.check(
        scores.path, option: scores.option, inputs: text.files(vocabulary: vocabulary))
    }
    let ngrams = try loadNgrams()
    var evaluations: [Evaluation] = []
    for model in models {
      evaluations.append(try evaluate(model, ngrams, beside: evaluations.first))
    }
    let comparison = try isComparison ? compare(evaluations) : nil
    if figures.record {
      try communicator.onRoot { for evaluation in evaluations { try keep(evaluation) } }
    }
    if let scores, scores.isStandardOutput {
      Terminal.note(FigureTable.describe(evaluations[0]))
    } else if printsPaperLine {
      for evaluation in evaluations { print(evaluation.record.paperLine) }
    } else if figures.json {
      try printJSON(evaluations, comparison)
    } else if evaluations.count == 1 {
      print(FigureTable.describe(evaluations[0]))
    } else {
      print(FigureTable.describe(evaluations, comparison))
    }
  }

  // MARK: One model

  /// Scores a checkpoint, or the newest good one of a run.
  ///
  /// - Parameters:
  ///   - path: What the user named.
  ///   - ngrams: Interpolated with it, if there is one.
  ///   - first: The first of several models, once it is scored.
  private func evaluate(
    _ path: String, _ ngrams: NgramModel?, beside first: Evaluation?
  ) throws -> Evaluation {
    var damaged: [String: String] = [:]
    while true {
      // The checksum of the weights is computed meanwhile; no figure is printed before it is known.
      let trained = try TrainedModel(
        path, on: work.kernels(), verifyingWeights: false, damaged: damaged,
        rebuiltTokenizer: HuggingFaceTokenizer.rebuilt, note: LMEval.note)
      let weights = WeightCheck(trained)
      do {
        return try evaluate(path, trained, weights, ngrams, beside: first)
      } catch {
        // For a run, the checkpoint before a damaged one is used; one that was named is never replaced.
        // Scores on standard output cannot be taken back.
        guard let problem = weights.damage, Files.name(of: path) != Files.name(of: trained.path),
          !(scores?.isStandardOutput ?? false)
        else { throw error }
        damaged[trained.path] = problem
        LMEval.note("passed over a checkpoint: \(problem)")
      }
    }
  }

  private func evaluate(
    _ path: String, _ trained: TrainedModel, _ weights: WeightCheck, _ ngrams: NgramModel?,
    beside first: Evaluation?
  ) throws -> Evaluation {
    var trained = trained
    let tokenizer = try LMEval.tokenizer(of: &trained)
    let source = try TextSource(
      text, vocabulary: vocabulary, window: window, stride: stride, trained: trained,
      tokenizer: tokenizer)
    if isComparison, let first { try checkRules(first, source, of: path) }
    let tokens = tokenizer.tokenTable()
    let wordStarts =
      scores?.unit == .words || ngrams != nil
      ? try WordStarts(
        tokens, special: tokenizer.special, ends: trained.config.otherEndIDs, rows: trained.rows)
      : nil
    let file = try scores.map {
      try ScoreFile(
        path: $0.path, lines: ScoreLines($0.unit.lines(tokens, wordStarts), format: $0.format))
    }
    let name = models.count > 1 ? "\(trained.name): " : ""
    var mixture: MixtureFigures?
    let report = try weights.during {
      let expectation = try trained.config.attention.expectation.map {
        try trained.model(with: $0)
      }
      let words = ngrams.flatMap { ngrams in
        wordStarts.map { MixedWords(ngrams, tokens: tokens, starts: $0) }
      }
      let scored = try measure(
        source, try broken(scorer(expectation ?? trained.model, tokens, wordStarts), trained),
        "\(name)scoring \(source.name)", into: file, words: words)
      if let ngrams, let words, let wordStarts {
        mixture = try mixed(scored, words, ngrams) { text, words in
          let tuning = try TextSource(
            text, vocabulary: vocabulary, window: nil, trained: trained, tokenizer: tokenizer)
          let report = try measure(
            tuning, scorer(expectation ?? trained.model, tokens, wordStarts),
            "scoring \(tuning.name) for the weight", words: words)
          return (tuning.name, report.textSums)
        } emptyWords: {
          MixedWords(ngrams, tokens: tokens, starts: wordStarts)
        }
      }
      var report = scored
      report.notes = source.notes
      report.precision = work.precision == .float32 ? nil : work.precision
      // A line to be quoted is about the expectation.
      if expectation != nil, figures.hashSeeds > 0, !printsPaperLine {
        report.sampled = try sampled(source, trained, tokens)
      }
      return report
    }
    try finish(file)
    if path == models[0] {
      for note in source.textNotes { LMEval.note("note: \(note)") }
    }
    return Evaluation(
      model: path, source: source, report: report,
      record: try record(of: report, source, trained, tokenizer), mixture: mixture)
  }

  // MARK: An n-gram model

  /// Reads the n-gram model, if there is one to be interpolated with.
  private func loadNgrams() throws -> NgramModel? {
    guard let path = mix?.mix else { return nil }
    guard communicator.size == 1 else {
      throw CommandError("--mix needs every sentence in one process; start lm-eval by itself")
    }
    let size = (try? Files.size(of: path)).map(Double.init)
    let progress = Progress("reading \(path)", total: size) { "\(Format.bytes(Int($0)))/s" }
    var seen = 0
    let model = try ArpaReader.read(path) { bytes in
      if Interrupt.isRequested { throw Interrupt.exitCode }
      progress.advance(Double(bytes - seen))
      seen = bytes
    }
    progress.finish()
    return model
  }

  /// The figures of the mixture, with the weight that was given or the best one on another text.
  ///
  /// - Parameters:
  ///   - report: Of the decoder alone.
  ///   - words: Those of the text.
  ///   - tune: Scores a text into words; returns its name and sums.
  ///   - emptyWords: To be filled.
  private func mixed(
    _ report: PerplexityReport, _ words: MixedWords, _ ngrams: NgramModel,
    tune: (TextOptions, MixedWords) throws -> (name: String, sums: TextSums?),
    emptyWords: () -> MixedWords
  ) throws -> MixtureFigures? {
    guard let mix, let file = mix.mix else { return nil }
    var (weight, origin) = (mix.mixWeight ?? 0.5, "given by --mix-weight")
    if let text = mix.tuning(text) {
      let tuning = emptyWords()
      let (name, sums) = try tune(text, tuning)
      weight = Mixture.weight(tuning.pairs)
      origin = "tuned on \(name)"
      // Such a weight has seen what it is measured on.
      if sums != nil && sums == report.textSums {
        origin += ", the very text that is measured"
      } else if text.overlaps(self.text) {
        origin += ", and part of that is measured"
      }
    }
    return MixtureFigures(
      file: file, order: ngrams.order, ngrams: ngrams.counts, weight: weight, origin: origin,
      unknownWords: words.unknownWords, decoder: MixtureFigures.Figures(report),
      ngram: words.ngram, mixed: words.mixed(weight: weight))
  }

  private func scorer(
    _ model: Transformer, _ tokens: TokenTable, _ wordStarts: WordStarts? = nil
  ) -> PerplexityScorer {
    var scorer = PerplexityScorer(
      model: model, tokenTable: tokens, positions: work.batchTokens,
      communicator: communicator)
    scorer.wordStarts = wordStarts
    return scorer
  }

  /// A scorer that breaks its figures down as was asked for.
  private func broken(
    _ scorer: PerplexityScorer, _ trained: TrainedModel
  ) throws -> PerplexityScorer {
    guard let breakdown else { return scorer }
    var scorer = scorer
    scorer.separatesSources = breakdown.perFile
    if let data = breakdown.byFrequency {
      let dataSet = try DataSet(directory: data)
      try trained.check(dataSet)
      let progress = Progress(
        "counting the tokens of \(data)", total: Double(dataSet.manifest.totals(of: "train").tokens)
      ) { "\(Format.short($0)) tokens/s" }
      let counts = try dataSet.tokenCounts(of: "train") { tokens in
        if Interrupt.isRequested { throw Interrupt.exitCode }
        progress.advance(Double(tokens))
      }
      progress.finish()
      scorer.breakdowns.append(.frequency(counts))
    }
    if breakdown.byPosition { scorer.breakdowns.append(.position) }
    return scorer
  }

  private func measure(
    _ source: TextSource, _ scorer: PerplexityScorer, _ title: String, into file: ScoreFile? = nil,
    words: MixedWords? = nil
  ) throws -> PerplexityReport {
    var scorer = scorer
    if let words { scorer.sink = { words.add($0) } }
    if let file { scorer.sink = { sentence in try written { try file.append(sentence) } } }
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

  private func finish(_ file: ScoreFile?) throws {
    if let file { try written { try file.finish() } }
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
    _ source: TextSource, _ trained: TrainedModel, _ tokens: TokenTable
  ) throws -> EstimateSpread {
    let seeds = (0..<figures.hashSeeds).map(UInt64.init)
    let perplexities = try seeds.map { seed in
      trained.model.evaluationSeed = seed
      var scorer = scorer(trained.model, tokens)
      scorer.computesError = false
      return try measure(source, scorer, "scoring with hashes of seed \(seed)").tally
        .wordPerplexity
    }
    return EstimateSpread(
      attention: "\(trained.config.attention)", seeds: seeds, wordPerplexities: perplexities)
  }

  private func record(
    of report: PerplexityReport, _ source: TextSource, _ trained: TrainedModel,
    _ tokenizer: SentencePieceModel
  ) throws -> EvaluationRecord {
    let folder = Files.name(of: trained.path)
    let step = folder.hasPrefix("step-") ? Int(folder.dropFirst(5)) : nil
    // The weights are read once more only if their checksum is written somewhere.
    let isTold = printsPaperLine || figures.record
    let attention = trained.config.attention.expectation ?? trained.config.attention
    let rows = trained.config.ngramNumbers
    return EvaluationRecord(
      checkpoint: trained.name, step: step,
      initialWeights: try InitialWeights.sentence(ofCheckpoint: trained.path),
      weightsSHA256: isTold
        ? try ModelFiles.weightsDigest(directory: trained.path, name: trained.weightsName) : "",
      ngramsSHA256: isTold && rows > 0
        ? try SHA256.hexDigest(ofFile: trained.path + "/" + NgramFile.name) : nil,
      parameters: trained.model.parameters.layout.count, ngramNumbers: rows > 0 ? rows : nil,
      attention: "\(attention)",
      tokenizerSHA256: trained.tokenizerSHA256, vocabularySize: tokenizer.vocabularySize,
      text: source.name, textSums: report.textSums ?? TextSums(md5: "", sha256: ""),
      textIsMapped: source.isMapped, textReading: source.reading, window: window, stride: stride,
      precision: work.precision,
      outOfVocabulary: source.rule.map {
        EvaluationRecord.OutOfVocabulary(
          words: report.unknownWords ?? 0, listWords: $0.words, listSHA256: $0.sha256,
          isOneToken: tokenizer.unknownWordID != nil,
          trainedListSHA256: source.otherList?.sha256)
      }, tally: report.tally, standardError: report.standardError, provenance: .now())
  }

  /// Adds the figures to the run that the checkpoint belongs to.
  private func keep(_ evaluation: Evaluation) throws {
    let checkpoint = CheckpointFolder.splitting(evaluation.record.checkpoint).folder
    // A folder from elsewhere is its own run.
    let run = evaluation.record.step == nil ? checkpoint : Files.parent(of: checkpoint)
    try EvaluationLog.add(evaluation.record, run: run) { LMEval.note($0) }
    // What lm-eval report compares runs by.
    if let sentences = SentenceRecord(evaluation.record, evaluation.report.sentences) {
      try sentences.add(to: run) { LMEval.note($0) }
    }
    Terminal.note("recorded in \(run)/\(EvaluationLog.name)")
  }
}
