import Storage

/// Reads everything of a run that has a checksum.
package struct RunVerification {
  /// One checkpoint, or the file that names the newest, and what became of it.
  package struct Finding: Sendable, Equatable {
    package let path: String
    package let isGood: Bool
    /// What was checked, or the first thing that is wrong.
    package let note: String
  }

  private let run: String
  private let checkpoints: [String]

  /// Bytes that `run` reads.
  package let bytes: Int

  /// - Parameter path: A run folder or one checkpoint of it.
  /// - Throws: `CheckpointError.notFound` if it is neither.
  package init(_ path: String) throws {
    run = path
    let steps = CheckpointFolder.steps(ofRun: path)
    if !steps.isEmpty {
      checkpoints = steps.map { path + "/" + CheckpointFolder.name(step: $0) }
    } else if Files.exists(path + "/" + CheckpointFolder.sumsName) {
      checkpoints = [path]
    } else {
      throw CheckpointError.notFound(path: path)
    }
    bytes = checkpoints.reduce(0) { sum, checkpoint in
      let names = (try? Files.entries(of: checkpoint)) ?? []
      return sum + names.reduce(0) { $0 + ((try? Files.size(of: checkpoint + "/" + $1)) ?? 0) }
    }
  }

  /// Compares all sums, then reads configuration and the shapes of the weights.
  ///
  /// - Parameter progress: Told of bytes read.
  package func run(progress: (Int) -> Void = { _ in }) -> [Finding] {
    var findings = checkpoints.map { path in
      do {
        try CheckpointFolder.verify(path, progress: progress)
        let config = try ModelFiles.readConfig(directory: path)
        let weights = try ModelFiles.readWeights(config, directory: path)
        return Finding(
          path: path, isGood: true,
          note: "\(config.attention), \(weights.layout.count) weights, all sums hold")
      } catch {
        return Finding(path: path, isGood: false, note: "\(error)")
      }
    }
    if let latest = latest() { findings.append(latest) }
    return findings
  }

  /// A name that leads nowhere is passed over by every command, but nobody wrote it.
  private func latest() -> Finding? {
    let path = run + "/" + CheckpointFolder.latestName
    guard checkpoints != [run] else { return nil }
    guard let bytes = try? Files.contents(of: path) else {
      return Finding(path: path, isGood: false, note: "it is missing; the newest step is taken")
    }
    let name = String(decoding: bytes, as: UTF8.self).split(separator: "\n").first ?? ""
    let isGood = checkpoints.contains(run + "/" + name)
    return Finding(
      path: path, isGood: isGood,
      note: isGood
        ? "names \(name)" : "it names \"\(name)\", which is no checkpoint; the newest step is taken"
    )
  }
}
