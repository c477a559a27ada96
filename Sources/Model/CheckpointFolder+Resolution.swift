import Foundation
import Storage

/// Which checkpoint of a run a user means who names the run.
extension CheckpointFolder {
  /// The checkpoint folder that a path means: a checkpoint itself, or the newest good one of a run.
  ///
  /// `latest` is not asked: a run that was killed between the last two renames of a checkpoint has
  /// one that is behind, and any file may be damaged. Where it names another step, that is told.
  ///
  /// - Parameters:
  ///   - path: A run folder or a checkpoint.
  ///   - verifyingWeights: Whether the weights count among the files that must hold.
  ///   - damaged: Checkpoints that are known to be of no use, and why.
  ///   - note: Told, a sentence each, of what was passed over.
  package static func resolve(
    _ path: String, verifyingWeights: Bool = false, damaged: [String: String] = [:],
    note: (String) -> Void
  ) throws -> String {
    if Files.exists(path + "/" + ModelFiles.weightsName) { return path }
    let newestFirst = steps(ofRun: path).reversed().map { name(step: $0) }
    guard let newest = newestFirst.first else {
      for name in ["model.safetensors.index.json", "pytorch_model.bin"]
      where Files.exists(path + "/" + name) {
        throw CheckpointError.otherWeights(path: path, found: name)
      }
      throw CheckpointError.notFound(path: path)
    }
    var reasons: [String] = []
    for name in newestFirst {
      let checkpoint = path + "/" + name
      if let reason = damaged[checkpoint] {
        reasons.append(reason)
        continue
      }
      do {
        try checkUse(checkpoint, verifyingWeights: verifyingWeights)
      } catch {
        reasons.append("\(error)")
        note("passed over a checkpoint: \(error)")
        continue
      }
      if name != newest {
        note("\(checkpoint) is taken, the newest checkpoint that is good")
      } else if let problem = problemOfLatest(ofRun: path, newest: name) {
        note("\(problem); \(name) is taken, the newest; lm-train --resume puts that right")
      }
      return checkpoint
    }
    throw CheckpointError.damaged(
      path: path, problem: "no checkpoint of it is good: " + reasons.joined(separator: "; "))
  }

  /// Compares what scoring and sampling read with its sums, and the weights with their size.
  private static func checkUse(_ checkpoint: String, verifyingWeights: Bool) throws {
    if try hasSums(checkpoint) {
      // The state as well, if it is there: what resume passes over is passed over here.
      let hasState = Files.exists(checkpoint + "/" + stateName)
      let names = [ModelFiles.configName, tokenizerName] + (hasState ? [stateName] : [])
      try verify(checkpoint, only: names + (verifyingWeights ? [ModelFiles.weightsName] : []))
    }
    let config = try ModelFiles.readConfig(directory: checkpoint)
    try ModelFiles.checkWeights(config, directory: checkpoint)
  }

  /// What is wrong with the file that names the newest checkpoint, if anything is.
  package static func problemOfLatest(ofRun run: String, newest: String) -> String? {
    let path = run + "/" + latestName
    guard Files.exists(path) else { return "\(path) is missing" }
    let found: [UInt8]
    do { found = try Files.contents(of: path) } catch { return "\(error)" }
    if found == Array((newest + "\n").utf8) { return nil }
    let name = String(decoding: found, as: UTF8.self).trimmingCharacters(in: .newlines)
    let isThere = steps(ofRun: run).contains { Self.name(step: $0) == name }
    // A run that goes on may have saved it since its checkpoints were listed.
    if isThere, name > newest { return nil }
    return isThere
      ? "\(path) names \(name), but \(newest) is newer"
      : "\(path) names \"\(name.prefix(40))\", which is no checkpoint of the run"
  }
}
