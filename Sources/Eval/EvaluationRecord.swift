import Model
package import Storage

/// One evaluation with everything that a reader needs to know to compare it.
package struct EvaluationRecord: Codable, Sendable, Equatable {
  /// What became of words outside a list.
  package struct OutOfVocabulary: Codable, Sendable, Equatable {
    /// Words of the text that were scored as `<UNK>`.
    package var words: Int
    /// Different words in the list.
    package var listWords: Int
    package var listSHA256: String
    /// Whether the tokenizer has `<UNK>` as one piece, and so was trained on such text.
    package var isOnePiece: Bool
    /// The list that the model was trained with, where it is recorded and another.
    package var trainedListSHA256: String?

    package init(
      words: Int, listWords: Int, listSHA256: String, isOnePiece: Bool,
      trainedListSHA256: String? = nil
    ) {
      self.words = words
      self.listWords = listWords
      self.listSHA256 = listSHA256
      self.isOnePiece = isOnePiece
      self.trainedListSHA256 = trainedListSHA256
    }
  }

  /// The checkpoint folder.
  package var checkpoint: String
  package var step: Int?
  package var weightsSHA256: String
  package var parameters: Int
  package var attention: String
  package var tokenizerSHA256: String
  /// Pieces of the tokenizer.
  package var vocabularySize: Int
  /// Name of the text: files, or splits and their data set.
  package var text: String
  package var textSums: TextSums
  /// Whether the sums are those of the text with `<UNK>` in it already.
  package var textIsMapped: Bool
  /// How the text was read where that is not as it is, for example without a byte order mark.
  package var textReading: String?
  /// Window of stream mode in pieces; absent if every sentence stands alone.
  package var window: Int?
  /// Absent if every word was spelt as it is.
  package var outOfVocabulary: OutOfVocabulary?
  package var tally: Tally
  /// Of the word perplexity.
  package var standardError: Double?

  package init(
    checkpoint: String, step: Int?, weightsSHA256: String, parameters: Int, attention: String,
    tokenizerSHA256: String, vocabularySize: Int, text: String, textSums: TextSums,
    textIsMapped: Bool, textReading: String? = nil, window: Int?, outOfVocabulary: OutOfVocabulary?,
    tally: Tally,
    standardError: Double?
  ) {
    self.checkpoint = checkpoint
    self.step = step
    self.weightsSHA256 = weightsSHA256
    self.parameters = parameters
    self.attention = attention
    self.tokenizerSHA256 = tokenizerSHA256
    self.vocabularySize = vocabularySize
    self.text = text
    self.textSums = textSums
    self.textIsMapped = textIsMapped
    self.textReading = textReading
    self.window = window
    self.outOfVocabulary = outOfVocabulary
    self.tally = tally
    self.standardError = standardError
  }
}

/// `evaluations.jsonl` of a run: one record a line with a sum of its own, the newest last.
package enum EvaluationLog {
  package static let name = "evaluations.jsonl"

  /// Whether every line of the logs in a folder must have a sum: it is a run that was written so.
  ///
  /// A checkpoint has a file of that name as well, which says nothing of what was recorded beside it.
  package static func requiresSums(_ folder: String) -> Bool {
    Files.exists(folder + "/" + SumsFile.name)
      && !Files.exists(folder + "/" + ModelFiles.weightsName)
  }

  /// The records of a run, and the lines that are not what was written.
  package static func contents(run: String) throws -> SummedLog<EvaluationRecord> {
    try SummedLog(
      path: run + "/" + name, requiresSums: requiresSums(run), isAppended: false)
  }

  /// All records of a run.
  ///
  /// - Throws: `LogDamage` if a line is not what was written.
  package static func read(run: String) throws -> [EvaluationRecord] {
    let log = try contents(run: run)
    if let damage = log.damages.first { throw damage }
    return log.entries.map(\.entry)
  }

  /// Adds a record; an older one of the same weights on the same text, scored the same way, goes.
  ///
  /// - Parameters:
  ///   - record: What is added.
  ///   - run: The run folder.
  ///   - damaged: Told of every line that is not what was written; it is kept in a file beside the log.
  package static func add(
    _ record: EvaluationRecord, run: String, damaged: (String) -> Void = { _ in }
  ) throws {
    // What another adds between reading and writing would be lost.
    let lock = try lock(run: run)
    defer { lock.release() }
    let path = run + "/" + name
    let log = try contents(run: run)
    for note in try log.setAside() { damaged(note) }
    let line = try SummedLog.line(record, path: path)
    try AtomicFile.write(
      log.summed { !$0.repeats(record) } + line + [UInt8(ascii: "\n")], to: path)
  }
}

extension EvaluationRecord {
  fileprivate func repeats(_ other: EvaluationRecord) -> Bool {
    weightsSHA256 == other.weightsSHA256 && textSums == other.textSums && window == other.window
      && outOfVocabulary?.listSHA256 == other.outOfVocabulary?.listSHA256
  }
}
