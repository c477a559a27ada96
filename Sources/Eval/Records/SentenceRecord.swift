import Model
package import Storage
package import Tensor

/// The sentences of one recorded evaluation, in the order of the text: what two evaluations of the same
/// text are compared by.
package struct SentenceRecord: Codable, Sendable, Equatable {
  package static let fileName = "sentences.jsonl"

  package var weightsSHA256: String
  /// Of the file of rows of n-grams; absent if the model has none.
  package var ngramsSHA256: String?
  package var textSums: TextSums
  package var textIsMapped: Bool
  /// The list of words, where there was one.
  package var listSHA256: String?
  /// What products read and wrote; absent if it was float32.
  package var precision: Precision?
  /// -ln p of every sentence with its `</s>`.
  package var nats: [Double]
  /// Words of every sentence, without `</s>`.
  package var words: [Int]

  /// The sentences of a record.
  ///
  /// - Returns: Nil where there are none, as of running text in windows.
  package init?(_ record: EvaluationRecord, _ sentences: [SentenceSum]) {
    guard !sentences.isEmpty, record.window == nil else { return nil }
    weightsSHA256 = record.weightsSHA256
    ngramsSHA256 = record.ngramsSHA256
    textSums = record.textSums
    textIsMapped = record.textIsMapped
    listSHA256 = record.outOfVocabulary?.listSHA256
    precision = record.precision
    nats = sentences.map(\.nats)
    words = sentences.map { $0.units - 1 }
  }

  /// Whether these are the sentences of a record.
  package func belongs(to record: EvaluationRecord) -> Bool {
    record.window == nil && weightsSHA256 == record.weightsSHA256
      && ngramsSHA256 == record.ngramsSHA256 && textSums == record.textSums
      && textIsMapped == record.textIsMapped && precision == record.precision
      && listSHA256 == record.outOfVocabulary?.listSHA256 && nats.count == words.count
  }

  /// As the paired bootstrap takes them.
  package var sums: [SentenceSum] {
    zip(nats, words).map { SentenceSum(nats: $0, units: $1 + 1) }
  }

  private func repeats(_ other: SentenceRecord) -> Bool {
    weightsSHA256 == other.weightsSHA256 && ngramsSHA256 == other.ngramsSHA256
      && textSums == other.textSums
      && textIsMapped == other.textIsMapped && precision == other.precision
      && listSHA256 == other.listSHA256
  }

  // MARK: The log

  /// The records of a run, and its damaged lines.
  package static func contents(run: String) throws -> SummedLog<SentenceRecord> {
    try SummedLog(
      path: run + "/" + fileName, requiresSums: EvaluationLog.requiresSums(run),
      isAppended: false)
  }

  /// Adds this one to a run, in the place of an older one of the same weights on the same text.
  ///
  /// - Parameters:
  ///   - run: The run folder.
  ///   - damaged: Called for every damaged line; the line is kept in a file beside the log.
  package func add(to run: String, damaged: (String) -> Void = { _ in }) throws {
    // Written by the same commands as the figures, and held by the same lock.
    let lock = try EvaluationLog.lock(run: run)
    defer { lock.release() }
    let path = run + "/" + Self.fileName
    let log = try Self.contents(run: run)
    for note in try log.setAside() { damaged(note) }
    let line = try SummedLog.line(self, path: path)
    try AtomicFile.write(
      log.summed { !$0.repeats(self) } + line + [UInt8(ascii: "\n")], to: path)
  }
}
