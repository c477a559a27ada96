package import Model
import Storage

/// The checkpoints of one run folder: written whole, verified before use, rotated.
package struct CheckpointStore: Sendable {
  /// The run folder.
  package let run: String

  package init(run: String) {
    self.run = run
  }

  /// Steps with a complete folder, oldest first.
  package func steps() -> [Int] { CheckpointFolder.steps(ofRun: run) }

  /// Path of one checkpoint.
  package func path(step: Int) -> String { run + "/" + CheckpointFolder.name(step: step) }

  // MARK: Saving

  /// Writes a checkpoint beside its name, flushes it, renames it, and last replaces `latest`.
  ///
  /// - Parameters:
  ///   - state: All that resume needs beside weights and moments.
  ///   - model: Their configuration.
  ///   - parameters: The weights.
  ///   - optimizer: The moments.
  ///   - tokenizerFiles: The tokenizer by file name.
  package func save(
    _ state: TrainState, model: ModelConfig, parameters: Parameters, optimizer: Optimizer,
    tokenizerFiles: [String: [UInt8]]
  ) throws {
    let directory = try AtomicDirectory(target: path(step: state.step))
    let path = directory.path
    try ModelFiles.write(model, parameters, directory: path)
    try ModelFiles.writeTensors(
      Self.momentGroups(optimizer), to: path + "/" + CheckpointFolder.optimizerName)
    try JSONFile.write(state, to: path + "/" + CheckpointFolder.stateName)
    for (name, bytes) in tokenizerFiles.sorted(by: { $0.key < $1.key }) {
      try AtomicFile.write(bytes, to: path + "/" + name)
    }
    let sums = try Files.entries(of: path).sorted().map {
      SumsFile.Line(digest: try SHA256.hexDigest(ofFile: path + "/" + $0), name: $0)
    }
    try AtomicFile.write(SumsFile.encode(sums), to: path + "/" + CheckpointFolder.sumsName)
    // A folder of this step is a damaged one that resume has passed over.
    try directory.commit(replacing: true)
    try AtomicFile.write(
      Array((CheckpointFolder.name(step: state.step) + "\n").utf8),
      to: run + "/" + CheckpointFolder.latestName)
  }

  private static func momentGroups(
    _ optimizer: Optimizer
  ) -> [(prefix: String, parameters: Parameters)] {
    [("first_moment.", optimizer.firstMoment), ("second_moment.", optimizer.secondMoment)]
  }

  /// Removes checkpoints that no rule keeps: the newest `keepLast`, multiples of `keepEvery`, the
  /// best.
  ///
  /// - Parameters:
  ///   - newest: The step just saved. Folders of later steps were passed over by resume as damaged;
  ///     they do not count, and stay until their step is saved again.
  ///   - keepLast: How many of the newest stay.
  ///   - keepEvery: Multiples of it stay; 0 for none.
  ///   - best: The step with the best validation.
  ///   - alsoKept: A step that stays for another reason.
  package func rotate(
    newest: Int, keepLast: Int, keepEvery: Int, best: Int?, alsoKept: Int? = nil
  ) throws {
    let steps = steps().filter { $0 <= newest }
    for step in steps.dropLast(keepLast)
    where step != best && step != alsoKept && (keepEvery == 0 || step % keepEvery != 0) {
      try Files.remove(path(step: step))
    }
  }

  /// Removes the checkpoints of steps that a rewind has undone, and points `latest` before them.
  package func forget(after step: Int) throws {
    try AtomicFile.write(
      Array((CheckpointFolder.name(step: step) + "\n").utf8),
      to: run + "/" + CheckpointFolder.latestName)
    for later in steps().reversed() where later > step { try Files.remove(path(step: later)) }
  }

  // MARK: Reading

  /// The newest checkpoint whose sums hold.
  ///
  /// - Parameter skipped: Told of every newer one that was passed over, and why.
  /// - Returns: Its step, or nil if the run has no checkpoint at all.
  package func newestGood(skipped: (String) -> Void) throws -> Int? {
    var reasons: [String] = []
    for step in steps().reversed() {
      do {
        try CheckpointFolder.verify(path(step: step))
        return step
      } catch {
        reasons.append("\(error)")
        skipped("\(error)")
      }
    }
    guard reasons.isEmpty else { throw TrainingError.nothingToResume(run: run, reasons: reasons) }
    return nil
  }

  /// Reads state, weights and moments of one checkpoint.
  ///
  /// - Parameter config: The run that is to go on; only what it reports, and when, may differ from
  ///   the run that was saved, and its number of steps where the schedule allows it.
  package func load(
    step: Int, config: RunConfig, parameters: Parameters, optimizer: Optimizer
  ) throws -> TrainState {
    let path = path(step: step)
    let state = try JSONFile.read(TrainState.self, from: path + "/" + CheckpointFolder.stateName)
    guard state.formatVersion == TrainState.currentVersion, state.step == step else {
      throw CheckpointError.damaged(
        path: path + "/" + CheckpointFolder.stateName,
        problem: "it is version \(state.formatVersion) of step \(state.step), expected version "
          + "\(TrainState.currentVersion) of step \(step)")
    }
    if let difference = state.config.difference(from: config, taken: step) {
      var sameButSteps = config
      sameButSteps.steps = state.config.steps
      if state.config.difference(from: sameButSteps, taken: step) == nil {
        throw TrainingError.invalid(
          "\(path) had the learning rates of a run of \(state.config.steps) steps, which a run of "
            + "\(config.steps) does not have up to step \(step); give --steps "
            + "\(state.config.steps), or start another run")
      }
      throw TrainingError.invalid(
        "\(path) belongs to a run with \(difference.found), not \(difference.expected); give the "
          + "configuration it was trained with, or start another run")
    }
    guard try ModelFiles.readConfig(directory: path) == config.model else {
      throw CheckpointError.damaged(
        path: path + "/" + ModelFiles.configName,
        problem: "it describes another model than "
          + CheckpointFolder.stateName)
    }
    try ModelFiles.readWeights(into: parameters, config.model, directory: path)
    try ModelFiles.readTensors(
      Self.momentGroups(optimizer), from: path + "/" + CheckpointFolder.optimizerName)
    return state
  }
}
