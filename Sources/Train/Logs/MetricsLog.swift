package import Storage

/// One line of `metrics.jsonl`; names carry units, absent values are left out.
package struct Metrics: StepEntry, Equatable {
  package static let fileName = "metrics.jsonl"

  /// The kind of a validation of the running average of the weights.
  package static let averageKind = "valid-ema"

  /// "train", "valid", or "valid-ema" for a validation of the running average of the weights.
  package var kind: String
  package var step: Int
  /// Targets seen since the start of the run.
  package var tokens: Int
  package var natsPerToken: Double
  /// Tokens that the loss of steps normalised over, where it was not the whole vocabulary: those of the
  /// step that had most.
  package var softmaxCandidates: Int?
  /// Targets that the loss is a mean over.
  package var tokensCounted: Int?
  /// Left out where it is larger than any number, and where the loss is not over the whole vocabulary.
  @FiniteOrAbsent package var wordPerplexity: Double
  package var learningRate: Double?
  /// Norm of the gradient of the mean loss, before clipping.
  package var gradientNorm: Double?
  package var tokensPerSecond: Double?
  /// FLOPs per second over those of the measured matrix-product peak.
  package var peakFraction: Double?
  /// Steps skipped in the whole run because their loss or gradient was not finite.
  package var skippedSteps: Int?
  package var trainedSeconds: Double
}

package typealias MetricsLog = StepLog<Metrics>

/// A line of a log that belongs to a step of the run.
package protocol StepEntry: Codable, Sendable {
  /// Name of the log in the run folder.
  static var fileName: String { get }
  var step: Int { get }
}

/// A log of a run: one object a line with a sum of its own, appended as the run goes.
package final class StepLog<Entry: StepEntry> {
  package static var name: String { Entry.fileName }
  private let path: String
  private let file: FileAppender
  /// The entries that were there and stay.
  let kept: [Entry]

  /// Opens the log for appending.
  ///
  /// - Parameters:
  ///   - run: The run folder.
  ///   - step: Lines of later steps are dropped: the run is about to take them again.
  ///   - damaged: Told of every line that is not what was written; it is kept in a file beside the
  ///     log.
  package init(
    run: String, keepingUpTo step: Int, damaged: (String) -> Void = { _ in }
  ) throws {
    path = run + "/" + Self.name
    let log = try Self.contents(run: run)
    for note in try log.setAside() { damaged(note) }
    try AtomicFile.write(log.summed { $0.step <= step }, to: path)
    kept = log.entries.map(\.entry).filter { $0.step <= step }
    file = try FileAppender(path: path)
  }

  /// All entries of a run; none if there is no log.
  ///
  /// - Throws: `LogDamage` if a line is not what was written.
  package static func read(run: String) throws -> [Entry] {
    let log = try contents(run: run)
    if let damage = log.damages.first { throw damage }
    return log.entries.map(\.entry)
  }

  /// The entries of a run that are whole, and the lines that are not.
  ///
  /// A line cut short by a crash is neither: it belongs to a step after the checkpoint.
  package static func contents(run: String) throws -> SummedLog<Entry> {
    try SummedLog(
      path: run + "/" + name, requiresSums: RunFolder.hasSums(run), isAppended: true)
  }

  package func append(_ entry: Entry) throws {
    try file.append(SummedLog.line(entry, path: path) + [UInt8(ascii: "\n")])
  }

  /// Waits until the disk holds every line so far: a checkpoint goes on after them.
  package func flush() throws { try file.flush() }
}
