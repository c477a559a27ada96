package import Communication
package import LMData
package import Model

/// Scores whole texts; no sentence is dropped or truncated.
///
/// No figure depends on the order of the sentences, the size of a batch or the number of threads:
/// a sentence's nats are the same bits in any batch, and sentences are sorted before their nats are
/// added.
package struct PerplexityScorer {
  private let model: Transformer
  private let tokenTable: TokenTable
  private let positions: Int
  private let communicator: any Communicator

  /// Called with the tally so far, after every batch or sentence; may throw to stop.
  package var progress: (Tally) throws -> Void = { _ in }
  /// Whether the standard error is computed, by a thousand resamples of the sentences.
  package var computesError = true
  /// Called with every scored sentence, in the order of the text; not in stream mode, nor of several
  /// ranks.
  package var sink: ((ScoredSentence) throws -> Void)?
  /// Set if the sentences of `sink` are to have the probabilities that words end with.
  package var wordStarts: WordStarts?
  /// What the figures of tokens are broken down by; all ranks have the same.
  package var breakdowns: [Breakdown.Rule] = []
  /// Whether every source of a text has a tally of its own.
  package var separatesSources = false

  /// - Parameters:
  ///   - model: Scores on this rank.
  ///   - tokenTable: Spells the ids, to count words and bytes.
  ///   - positions: Positions scored at a time; bounds memory, no result depends on it.
  ///   - communicator: The ranks that score together, batches in turn; all get the same figures.
  package init(
    model: Transformer, tokenTable: TokenTable, positions: Int = Evaluator.defaultPositions,
    communicator: any Communicator = SingleProcess()
  ) {
    self.communicator = communicator
    precondition(positions > 0, "batches of \(positions) positions")
    self.model = model
    self.tokenTable = tokenTable
    self.positions = positions
  }

  // MARK: Data sets

  /// Scores a split and compares its counts with those of the manifest.
  ///
  /// - Throws: `EvaluationError.notFinite` with the number of the sentence, or `.miscounted`.
  package func report(
    dataSet: DataSet, split: String, mode: SequenceMode = .sentences
  ) throws -> PerplexityReport {
    try report(dataSet: dataSet, splits: [split], mode: mode)
  }

  /// Scores several splits as one text.
  package func report(
    dataSet: DataSet, splits: [String], mode: SequenceMode = .sentences
  ) throws -> PerplexityReport {
    var whole = Tally()
    var sums: [SentenceSum] = []
    var broken = breakdowns.map { Breakdown(by: $0) }
    let reader = SentenceReader(countsUnknownWords: dataSet.manifest.vocabulary != nil)
    for split in splits {
      let before = reader.unknownWords
      let tally = try score(
        dataSet, split, mode, reader, after: whole, into: &sums, breakdowns: &broken)
      var totals = dataSet.manifest.totals(of: split)
      // Without a list of words, `<UNK>` in the text is a word like any other.
      if dataSet.manifest.vocabulary == nil { totals.unknownWords = 0 }
      try Self.compare(
        tally, unknownWords: reader.unknownWords - before, with: totals, split: split)
      whole += tally
    }
    var report = report(whole, sums, isSentences: mode == .sentences)
    report.breakdowns = broken
    reader.complete(&report)
    return report
  }

  /// Scores one split.
  ///
  /// - Parameter before: The tally of the splits before, for `progress`.
  private func score(
    _ dataSet: DataSet, _ split: String, _ mode: SequenceMode, _ reader: SentenceReader,
    after before: Tally, into sums: inout [SentenceSum], breakdowns: inout [Breakdown]
  ) throws -> Tally {
    let validator = Validator(
      model: model, dataSet: dataSet, split: split, mode: mode, tokenTable: tokenTable,
      positions: positions, wordStarts: wordStarts, sharesTokens: !self.breakdowns.isEmpty,
      communicator: communicator)
    var total = Tally()
    var count = 0
    var counter = StreamCounter(eos: dataSet.special.eos, tokens: tokenTable, reader: reader)
    let unit = mode == .sentences ? "sentence" : "window"
    try validator.forEachSequence { score in
      guard score.nats.isFinite else {
        throw EvaluationError.notFinite(place: "\(unit) \(count + 1) of the split \(split)")
      }
      count += 1
      let tally = counter.add(score)
      total += tally
      sums.append(SentenceSum(nats: score.nats, units: tally.words + tally.sentences))
      for index in breakdowns.indices { breakdowns[index].add(score) }
      if mode == .sentences, let sink {
        let text = tokenTable.decode(score.targets.dropLast())
        try sink(
          ScoredSentence(
            score: score, text: text, words: tally.words, unknownWords: reader.lastUnknownWords,
            name: split, number: count))
      }
      var done = before
      done += total
      try progress(done)
      return true
    }
    return total
  }

  private static func compare(
    _ tally: Tally, unknownWords: Int, with totals: Totals, split: String
  ) throws {
    for (what, found, expected) in [
      ("sentences", tally.sentences, totals.sentences), ("tokens", tally.tokens, totals.tokens),
      ("words", tally.words, totals.words), ("bytes", tally.bytes, totals.bytes),
      ("unknown words", unknownWords, totals.unknownWords),
    ] where found != expected {
      throw EvaluationError.miscounted(
        split: split, what: what, expected: expected, found: found)
    }
  }

  private func report(
    _ tally: Tally, _ sums: [SentenceSum], isSentences: Bool
  ) -> PerplexityReport {
    let sorted = SentenceSums(sums)
    var tally = tally
    tally.nats = sorted.nats
    var report = PerplexityReport(
      tally: tally,
      standardError: isSentences && computesError ? sorted.bootstrapStandardError() : nil)
    if isSentences { report.sentences = sums }
    return report
  }

  // MARK: Text

  /// Scores lines of text; words and bytes are counted in the text itself.
  ///
  /// - Parameters:
  ///   - countsUnknownWords: Whether `<UNK>` stands for unknown words in this text.
  ///   - next: The next line, or nil after the last.
  /// - Throws: `EvaluationError.notSpelled` or `.notFinite` with the place of the sentence.
  package func report(
    countsUnknownWords: Bool = false, _ next: () throws -> TextSentence?
  ) throws -> PerplexityReport {
    let evaluator = Evaluator(
      model, wordStarts: wordStarts, sharesTokens: !breakdowns.isEmpty)
    var broken = breakdowns.map { Breakdown(by: $0) }
    var sources: [Int: (tally: Tally, sums: [SentenceSum])] = [:]
    let reader = SentenceReader(countsUnknownWords: countsUnknownWords)
    var total = Tally()
    var sums: [SentenceSum] = []
    /// Batches to be scored, one for each rank.
    var batches: [[TextSentence]] = []
    var waiting: [TextSentence] = []
    var filled = 0
    var planned = Evaluator.defaultPositions

    func add(_ sentence: TextSentence, _ score: SequenceScore) throws {
      guard score.nats.isFinite else {
        throw EvaluationError.notFinite(place: sentence.place)
      }
      let words = Words.count(in: sentence.text)
      let tally = Tally(
        nats: score.nats, tokens: sentence.ids.count, sentences: 1, words: words,
        bytes: sentence.text.count + 1)
      total += tally
      let sum = SentenceSum(nats: score.nats, units: words + 1)
      sums.append(sum)
      for index in broken.indices { broken[index].add(score) }
      if separatesSources {
        sources[sentence.source, default: (Tally(), [])].tally += tally
        sources[sentence.source]?.sums.append(sum)
      }
      reader.read(sentence.text, original: sentence.original)
      try sink?(
        ScoredSentence(
          score: score, text: sentence.text, words: words,
          unknownWords: reader.lastUnknownWords, name: sentence.name, number: sentence.number))
    }

    func flush(isLast: Bool = false) throws {
      batches.append(waiting)
      waiting.removeAll(keepingCapacity: true)
      filled = 0
      guard isLast || batches.count == communicator.size else { return }
      let scores = try evaluator.score(
        batches.map(batch), places: batches.map { $0.first?.place }, communicator)
      for (sentence, score) in zip(batches.joined(), scores) { try add(sentence, score) }
      batches.removeAll(keepingCapacity: true)
      try progress(total)
    }

    while let sentence = try next() {
      guard tokenTable.decode(sentence.ids) == sentence.text else {
        throw EvaluationError.notSpelled(place: sentence.place)
      }
      if !waiting.isEmpty && filled + sentence.ids.count + 1 > positions { try flush() }
      // Before a budget without measure has read the whole text into memory.
      if filled > planned {
        try evaluator.plan([0, 1, filled])
        planned = 2 * filled
      }
      waiting.append(sentence)
      filled += sentence.ids.count + 1
    }
    try flush(isLast: true)
    guard total.sentences > 0 else { throw EvaluationError.nothingToScore }
    var report = report(total, sums, isSentences: true)
    report.breakdowns = broken
    report.sources = sources.mapValues { source in
      var tally = source.tally
      tally.nats = SentenceSums(source.sums).nats
      return tally
    }
    reader.complete(&report)
    return report
  }

  private func batch(_ sentences: [TextSentence]) -> Batch {
    var ids: [Int32] = []
    var targets: [Int32] = []
    var starts = [0]
    for sentence in sentences {
      ids.append(model.config.bosID)
      ids += sentence.ids
      targets += sentence.ids
      targets.append(model.config.eosID)
      starts.append(ids.count)
    }
    return Batch(ids: ids, targets: targets, starts: starts)
  }
}
