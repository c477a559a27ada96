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
  package var wordPerplexity: Double
  package var learningRate: Double?
  /// Norm of the gradient of the mean loss, before clipping.
  package var gradientNorm: Double?
  package var piecesPerSecond: Double?
  /// FLOPs per second over those of the measured matrix-product peak.
  package var peakFraction: Double?
  package var trainedSeconds: Double
}

/// `metrics.jsonl`, one object a line, appended as the run goes.
package final class MetricsLog {
  package static let name = "metrics.jsonl"
  private let path: String
  private let file: FileHandle

  /// Opens the log for appending.
  ///
  /// - Parameter step: Lines of later steps are dropped: the run is about to take them again.
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
    guard let file = FileHandle(forWritingAtPath: path) else {
      throw StorageError.system(path: path, doing: "open", code: errno)
    }
    self.file = file
    try file.seekToEnd()
  }

  package func append(_ metrics: Metrics) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      try file.write(contentsOf: try encoder.encode(metrics) + Data("\n".utf8))
    } catch {
      let code = (error as NSError).userInfo[NSUnderlyingErrorKey] as? NSError
      throw StorageError.system(path: path, doing: "write", code: Int32(code?.code ?? Int(EIO)))
    }
  }
}
