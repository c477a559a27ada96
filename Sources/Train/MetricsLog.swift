import Foundation
import Storage

/// One line of `metrics.jsonl`; names carry units, absent values are left out.
package struct Metrics: StepEntry, Equatable {
  package static let fileName = "metrics.jsonl"

  /// "train" or "valid".
  package var kind: String
  package var step: Int
  /// Targets seen since the start of the run.
  package var pieces: Int
  package var natsPerPiece: Double
  /// Targets that the loss is a mean over.
  package var piecesCounted: Int?
  /// Left out where it is larger than any number.
  @FiniteOrAbsent package var wordPerplexity: Double
  package var learningRate: Double?
  /// Norm of the gradient of the mean loss, before clipping.
  package var gradientNorm: Double?
  package var piecesPerSecond: Double?
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

/// A log of a run: one object a line, appended as the run goes.
package final class StepLog<Entry: StepEntry> {
  package static var name: String { Entry.fileName }
  private let path: String
  private let file: FileAppender

  /// Opens the log for appending.
  ///
  /// - Parameters:
  ///   - run: The run folder.
  ///   - step: Lines of later steps are dropped: the run is about to take them again.
  package init(run: String, keepingUpTo step: Int) throws {
    path = run + "/" + Self.name
    var kept: [UInt8] = []
    for (line, entry) in try Self.lines(path) where entry.step <= step {
      kept += line + [UInt8(ascii: "\n")]
    }
    try AtomicFile.write(kept, to: path)
    file = try FileAppender(path: path)
  }

  /// All entries of a run; none if there is no log.
  package static func read(run: String) throws -> [Entry] {
    try lines(run + "/" + name).map(\.entry)
  }

  package func append(_ entry: Entry) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let line: [UInt8]
    do {
      line = [UInt8](try encoder.encode(entry))
    } catch {
      throw StorageError.unencodable(path: path, reason: "\(error)")
    }
    try file.append(line + [UInt8(ascii: "\n")])
  }

  /// Waits until the disk holds every line so far: a checkpoint goes on after them.
  package func flush() throws { try file.flush() }

  private static func lines(_ path: String) throws -> [(line: ArraySlice<UInt8>, entry: Entry)] {
    guard Files.exists(path) else { return [] }
    return try Files.contents(of: path).split(separator: UInt8(ascii: "\n")).compactMap { line in
      // A line cut short by a crash belongs to a step after the checkpoint.
      (try? JSONDecoder().decode(Entry.self, from: Data(line))).map { (line, $0) }
    }
  }
}
