package import LMData
package import Storage

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
  package var tokens: Int
  /// Nil if it is not finite.
  package var natsPerToken: Double?
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
      + "\(tokens) \(tokens == 1 ? "token" : "tokens"))"
    let loss = natsPerToken.map { "\($0) nats per token" } ?? "a loss that is not finite"
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

/// `incidents.jsonl`; a run that repeats steps after a crash repeats its incidents exactly, and they
/// are written once.
package final class IncidentLog {
  package static let name = "incidents.jsonl"
  private let path: String
  private var bytes: [UInt8]
  private var incidents: [Incident]

  /// - Parameter damaged: Told of every line that is not what was written; it is kept in a file
  ///   beside the log.
  init(run: String, damaged: (String) -> Void) throws {
    path = run + "/" + Self.name
    let log = try Self.contents(run: run)
    bytes = log.summed()
    incidents = log.entries.map(\.entry)
    guard !log.damages.isEmpty else { return }
    for note in try log.setAside() { damaged(note) }
    try AtomicFile.write(bytes, to: path)
  }

  /// The incidents of a run, in the order in which they happened, and the lines that are damaged.
  package static func contents(run: String) throws -> SummedLog<Incident> {
    try SummedLog(
      path: run + "/" + name, requiresSums: RunFolder.hasSums(run), isAppended: false)
  }

  /// Incidents are rare: the whole file is replaced, so that it is always whole.
  func append(_ incident: Incident) throws {
    guard !incidents.contains(incident) else { return }
    let line = try SummedLog.line(incident, path: path)
    try AtomicFile.write(bytes + line + [UInt8(ascii: "\n")], to: path)
    bytes += line + [UInt8(ascii: "\n")]
    incidents.append(incident)
  }
}
