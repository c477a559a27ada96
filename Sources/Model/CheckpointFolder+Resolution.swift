import Foundation
import Storage

/// Which checkpoint of a run a user means who names the run.
extension CheckpointFolder {
  /// The checkpoint folder that a path means: a checkpoint itself, the newest good one of a run, or the
  /// one with its best validation for `RUN/best`.
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
    if ModelFiles.hasWeights(directory: path) { return path }
    if let (run, name) = named(path) {
      let newest = try resolve(
        run, verifyingWeights: verifyingWeights && name == latestName, damaged: damaged, note: note)
      return name == latestName
        ? newest
        : try best(ofRun: run, newest: newest, verifyingWeights: verifyingWeights, damaged: damaged)
    }
    let newestFirst = steps(ofRun: path).reversed().map { name(step: $0) }
    guard let newest = newestFirst.first else {
      let other = "pytorch_model.bin"
      if Files.exists(path + "/" + other) {
        throw CheckpointError.otherWeights(path: path, found: other)
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

  /// The run and the name where a path is `RUN/best` or `RUN/latest`.
  private static func named(_ path: String) -> (run: String, name: String)? {
    let (run, name) = (Files.parent(of: path), Files.name(of: path))
    guard [bestName, latestName].contains(name), !Files.isDirectory(path),
      !steps(ofRun: run).isEmpty
    else { return nil }
    return (run, name)
  }

  /// The path that `RUN/best` or `RUN/latest` means, and any other path as it is.
  package static func unnamed(_ path: String, note: (String) -> Void) throws -> String {
    named(path) == nil ? path : try resolve(path, note: note)
  }

  /// The weights that a path means: the file that it names in a checkpoint or run, or those of training.
  package static func splitting(_ path: String) -> (folder: String, weights: String) {
    Files.name(of: path) == averageName
      ? (Files.parent(of: path), averageName) : (path, ModelFiles.weightsName)
  }

  /// The checkpoint with the best validation.
  ///
  /// The file `best` is not asked: the state of the newest checkpoint has a sum.
  private static func best(
    ofRun run: String, newest: String, verifyingWeights: Bool, damaged: [String: String]
  ) throws -> String {
    guard let step = try bestStep(of: newest) else {
      throw CheckpointError.noBest(run: run, problem: "nothing has been validated yet")
    }
    let checkpoint = run + "/" + name(step: step)
    guard Files.isDirectory(checkpoint) else {
      throw CheckpointError.noBest(run: run, problem: "\(name(step: step)) is there no more")
    }
    if let reason = damaged[checkpoint] {
      throw CheckpointError.damaged(path: checkpoint, problem: reason)
    }
    try checkUse(checkpoint, verifyingWeights: verifyingWeights)
    return checkpoint
  }

  /// The step of a run's best validation up to one of its checkpoints; nil if there was none.
  package static func bestStep(of checkpoint: String) throws -> Int? {
    struct State: Decodable {
      struct Best: Decodable { let step: Int }
      let best: Best?
    }
    return try JSONFile.read(State.self, from: checkpoint + "/" + stateName).best?.step
  }

  /// Compares what scoring and sampling read with its sums, and the weights with their size.
  private static func checkUse(_ checkpoint: String, verifyingWeights: Bool) throws {
    if try hasSums(checkpoint) {
      // The state as well, if it is there: what resume passes over is passed over here.
      let hasState = Files.exists(checkpoint + "/" + stateName)
      let names = [ModelFiles.configName, tokenizerName] + (hasState ? [stateName] : [])
      let weights = [ModelFiles.weightsName, NgramFile.name]
      try verify(checkpoint, only: names + (verifyingWeights ? weights : []))
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
