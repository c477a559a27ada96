package import Provenance
package import Storage

/// One start of `lm-train` on a run; a line of `starts.jsonl`.
package struct RunStart: Codable, Sendable, Equatable {
  package static let fileName = "starts.jsonl"

  /// Steps that had been taken before.
  package var step: Int
  /// The device, as it calls itself.
  package var device: String
  package var threads: Int
  /// Processes.
  package var ranks: Int
  /// What the run began with, where that is weights of another; absent otherwise.
  package var initialWeights: String?
  package var provenance: Provenance

  package init(
    step: Int, device: String, threads: Int, ranks: Int, initialWeights: String? = nil,
    provenance: Provenance
  ) {
    self.step = step
    self.device = device
    self.threads = threads
    self.ranks = ranks
    self.initialWeights = initialWeights
    self.provenance = provenance
  }

  /// The starts of a run, the newest last, and the lines that are damaged.
  package static func contents(run: String) throws -> SummedLog<RunStart> {
    try SummedLog(path: run + "/" + fileName, requiresSums: true, isAppended: false)
  }

  /// Adds this one to a run.
  ///
  /// - Parameters:
  ///   - run: The run folder, locked by this process.
  ///   - damaged: Told of every damaged line, which is kept in a file beside the log.
  package func add(to run: String, damaged: (String) -> Void = { _ in }) throws {
    let path = run + "/" + Self.fileName
    let log = try Self.contents(run: run)
    for note in try log.setAside() { damaged(note) }
    try AtomicFile.write(
      log.summed() + SummedLog<RunStart>.line(self, path: path) + [UInt8(ascii: "\n")], to: path)
  }
}
