import Foundation
import Storage

/// One line of `metrics.jsonl`; names carry units, absent values are left out.
package struct Metrics: Codable, Sendable, Equatable {
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

/// `metrics.jsonl`, one object a line, appended as the run goes.
package final class MetricsLog {
  package static let name = "metrics.jsonl"
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
    if Files.exists(path) {
      for line in try Files.contents(of: path).split(separator: UInt8(ascii: "\n")) {
        // A line cut short by a crash belongs to a step after the checkpoint.
        guard let metrics = try? JSONDecoder().decode(Metrics.self, from: Data(line)),
          metrics.step <= step
        else { continue }
        kept += line + [UInt8(ascii: "\n")]
      }
    }
    try AtomicFile.write(kept, to: path)
    file = try FileAppender(path: path)
  }

  package func append(_ metrics: Metrics) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let line: [UInt8]
    do {
      line = [UInt8](try encoder.encode(metrics))
    } catch {
      throw StorageError.unencodable(path: path, reason: "\(error)")
    }
    try file.append(line + [UInt8(ascii: "\n")])
  }

  /// Waits until the disk holds every line so far: a checkpoint goes on after them.
  package func flush() throws { try file.flush() }
}
