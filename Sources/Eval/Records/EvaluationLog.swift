import Model
package import Storage

/// `evaluations.jsonl` of a run: one record a line, each with its own checksum, the newest last.
package enum EvaluationLog {
  package static let name = "evaluations.jsonl"

  /// Whether every line of the logs in a folder must have a checksum, which runs say by `SHA256SUMS`.
  ///
  /// A checkpoint has a file of that name as well, but it does not cover the records beside it.
  package static func requiresSums(_ folder: String) -> Bool {
    Files.exists(folder + "/" + SumsFile.name)
      && !Files.exists(folder + "/" + ModelFiles.weightsName)
  }

  /// The records of a run, and its damaged lines.
  package static func contents(run: String) throws -> SummedLog<EvaluationRecord> {
    try SummedLog(
      path: run + "/" + name, requiresSums: requiresSums(run), isAppended: false)
  }

  /// All records of a run.
  ///
  /// - Throws: `LogDamage` if a line is damaged.
  package static func read(run: String) throws -> [EvaluationRecord] {
    let log = try contents(run: run)
    if let damage = log.damages.first { throw damage }
    return log.entries.map(\.entry)
  }

  /// Adds a record, which replaces an older one of the same weights on the same text, scored the same way
  /// in the same precision.
  ///
  /// - Parameters:
  ///   - record: What is added.
  ///   - run: The run folder.
  ///   - damaged: Called for every damaged line; the line is kept in a file beside the log.
  package static func add(
    _ record: EvaluationRecord, run: String, damaged: (String) -> Void = { _ in }
  ) throws {
    // A record that another process adds between reading and writing would be lost.
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
    weightsSHA256 == other.weightsSHA256 && ngramsSHA256 == other.ngramsSHA256
      && textSums == other.textSums && window == other.window
      && stride == other.stride
      && precision == other.precision
      && outOfVocabulary?.listSHA256 == other.outOfVocabulary?.listSHA256
  }
}
