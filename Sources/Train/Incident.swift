import Foundation
package import LMData
import Storage

/// Something about a step that should not have been; one line of `incidents.jsonl`.
package struct Incident: Codable, Sendable, Equatable {
  package enum Kind: String, Codable, Sendable {
    /// Loss or gradient was not finite; the weights were left as they were.
    case skipped
    /// The loss leapt; the step was taken.
    case spike
    /// The loss leapt; the run went back and goes on after this batch.
    case rewind
  }

  package var kind: Kind
  package var step: Int
  /// Where the batch of the step begins.
  package var cursor: Cursor
  /// Sequences and targets of the batch.
  package var sequences: Int
  package var pieces: Int
  /// Nil if it is not finite.
  package var natsPerPiece: Double?
  /// Nil if it is not finite.
  package var gradientNorm: Double?
  /// The loss that would have passed, for a spike.
  package var threshold: Double?
  /// The step that a rewind went back to.
  package var target: Int?
  package var tensors: [TensorStatistics]?
}

extension Incident: CustomStringConvertible {
  package var description: String {
    let place =
      "step \(step) (epoch \(cursor.epoch), shard \(cursor.shard), sequence \(cursor.sentence), "
      + "\(pieces) pieces)"
    let loss = natsPerPiece.map { "\($0) nats per piece" } ?? "a loss that is not finite"
    let norm = gradientNorm.map { "gradient norm \($0)" } ?? "a gradient norm that is not finite"
    let limit = threshold.map { ", above \($0)" } ?? ""
    switch kind {
    case .skipped:
      let worst = tensors?.first.map {
        "; \($0.name): \($0.notFinite) of \($0.count) not finite, largest gradient "
          + "\($0.largestGradient), largest weight \($0.largestWeight)"
      }
      return "\(place) skipped, weights unchanged: \(loss), \(norm)\(worst ?? "")"
    case .spike:
      return "\(place): the loss leapt to \(loss)\(limit), \(norm)"
    case .rewind:
      return
        "\(place): the loss leapt to \(loss)\(limit); back to step \(target ?? 0), on with the "
        + "data after this batch"
    }
  }
}

/// `incidents.jsonl`; a run that repeats steps after a crash repeats its incidents bit for bit, and
/// they are written once.
package final class IncidentLog {
  package static let name = "incidents.jsonl"
  private let path: String
  private var lines: [[UInt8]] = []

  init(run: String) throws {
    path = run + "/" + Self.name
    guard Files.exists(path) else { return }
    // A line cut short by a crash is written again by the step it belongs to.
    lines = try Files.contents(of: path).split(separator: UInt8(ascii: "\n")).map(Array.init)
      .filter { Self.incident($0) != nil }
  }

  /// All incidents of a run, in the order in which they happened.
  package static func read(run: String) throws -> [Incident] {
    try Self(run: run).lines.compactMap(incident)
  }

  private static func incident(_ line: [UInt8]) -> Incident? {
    try? JSONDecoder().decode(Incident.self, from: Data(line))
  }

  /// Incidents are rare: the whole file is replaced, so that it is always whole.
  func append(_ incident: Incident) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let line: [UInt8]
    do {
      line = [UInt8](try encoder.encode(incident))
    } catch {
      throw StorageError.unencodable(path: path, reason: "\(error)")
    }
    guard !lines.contains(line) else { return }
    lines.append(line)
    try AtomicFile.write(Array(lines.joined(separator: [UInt8(ascii: "\n")])) + [10], to: path)
  }
}
