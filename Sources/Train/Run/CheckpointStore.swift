import Model
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
  ///   - average: The running average of the weights, if there is one.
  ///   - scratch: As large as the weights; where ranks have parts of the moments, they come together
  ///     there.
  ///   - collect: Called with the number of a moment, to bring it there; with 2 for the average.
  ///   - tokenizerFiles: The tokenizer by file name.
  func save(
    _ state: TrainState, model: ModelConfig, parameters: Parameters, optimizer: Optimizer,
    average: WeightAverage?, scratch: Parameters, collecting collect: (Int) throws -> Void,
    tokenizerFiles: [String: [UInt8]]
  ) throws {
    let directory = try AtomicDirectory(target: path(step: state.step))
    let path = directory.path
    let target = directory.target
    try ModelFiles.write(model, parameters, directory: path)
    try ModelFiles.writeTensors(
      optimizer.groups(scratch), to: path + "/" + CheckpointFolder.optimizerName,
      preparing: collect)
    if let average {
      try ModelFiles.writeTensors(
        [("", average.whole(scratch))], to: path + "/" + CheckpointFolder.averageName
      ) { _ in try collect(2) }
    }
    try JSONFile.write(state, to: path + "/" + CheckpointFolder.stateName)
    for (name, bytes) in tokenizerFiles.sorted(by: { $0.key < $1.key }) {
      try AtomicFile.write(bytes, to: path + "/" + name)
    }
    let sums = try Files.entries(of: path).sorted().map {
      SumsFile.Line(digest: try SHA256.hexDigest(ofFile: path + "/" + $0), name: $0)
    }
    try AtomicFile.write(SumsFile.encode(sums), to: path + "/" + CheckpointFolder.sumsName)
    if Files.exists(target), !isOwn(step: state.step, of: state) {
      // Nobody's work goes: another run's checkpoint or a person's folder gets another name.
      try Files.rename(target, to: unusedName(besides: target))
    }
    // Otherwise a folder of this step is a damaged one that resume has passed over.
    try directory.commit(replacing: true)
    try point(to: state)
  }

  /// Makes `latest` name the step of a state, and `best` that of its best validation, if they do not.
  package func point(to state: TrainState) throws {
    try point(CheckpointFolder.latestName, to: state.step)
    if let best = state.best { try point(CheckpointFolder.bestName, to: best.step) }
  }

  private func point(_ name: String, to step: Int) throws {
    let path = run + "/" + name
    let bytes = CheckpointFolder.latest(step: step)
    if (try? Files.contents(of: path)) == bytes { return }
    try AtomicFile.write(bytes, to: path)
  }

  private func unusedName(besides path: String) -> String {
    var number = 1
    while Files.exists("\(path).kept-\(number)") { number += 1 }
    return "\(path).kept-\(number)"
  }

  // MARK: What may be removed

  /// Whether a folder is a checkpoint of this run, perhaps damaged, and holds nothing else.
  ///
  /// Only then it is replaced or removed. A checkpoint whose state cannot be read may be anyone's: it
  /// may be replaced when its step is saved again, since all its files are those of a checkpoint.
  ///
  /// - Parameter state: A state of the run.
  private func isOwn(step: Int, of state: TrainState) -> Bool {
    let path = path(step: step)
    guard let names = try? Files.entries(of: path), Self.isOnlyCheckpoint(names, at: path) else {
      return false
    }
    guard let other = try? self.state(step: step) else { return true }
    return Self.isSameRun(other, state)
  }

  /// Whether every name is that of a file that checkpoints have, or that this one lists.
  private static func isOnlyCheckpoint(_ names: [String], at path: String) -> Bool {
    let sums = try? Files.contents(of: path + "/" + CheckpointFolder.sumsName)
    let listed = sums.flatMap { SumsFile.parse($0) }?.map(\.name) ?? []
    let known = CheckpointFolder.fileNames.union(listed)
    return names.allSatisfy { known.contains($0) }
  }

  private static func isSameRun(_ one: TrainState, _ other: TrainState) -> Bool {
    guard one.tokenizerSHA256 == other.tokenizerSHA256, one.dataSHA256 == other.dataSHA256 else {
      return false
    }
    var config = other.config
    config.report = one.config.report
    return config == one.config || one.config.difference(from: config, taken: one.step) == nil
  }

  /// Removes checkpoints that no rule keeps.
  ///
  /// The newest `keepLast` stay, multiples of `keepEvery`, and the best. What is no checkpoint of this
  /// run is neither counted nor removed.
  ///
  /// - Parameters:
  ///   - state: That of the step just saved. Folders of later steps were passed over by resume as
  ///     damaged; they do not count, and stay until their step is saved again.
  ///   - keepLast: How many of the newest stay.
  ///   - keepEvery: Multiples of it stay; 0 for none.
  ///   - alsoKept: A step that stays for another reason.
  package func rotate(
    _ state: TrainState, keepLast: Int, keepEvery: Int, alsoKept: Int? = nil
  ) throws {
    var newest = 0
    for step in steps().reversed() where step <= state.step {
      let isKept =
        step == state.best?.step || step == alsoKept || (keepEvery > 0 && step % keepEvery == 0)
      if isKept && newest >= keepLast { continue }
      guard isRemovable(step: step, of: state) else { continue }
      newest += 1
      if newest > keepLast && !isKept {
        try AtomicDirectory.remove(path(step: step))
      }
    }
  }

  /// Whether a folder is a checkpoint of this run for certain, and holds nothing else.
  private func isRemovable(step: Int, of state: TrainState) -> Bool {
    guard let other = try? self.state(step: step), other.step == step else { return false }
    return isOwn(step: step, of: state)
  }

  /// Removes the checkpoints of steps that a rewind has undone, and points `latest` before them.
  ///
  /// - Parameters:
  ///   - step: The last one that stays.
  ///   - state: A state of the run.
  package func forget(after step: Int, of state: TrainState) throws {
    try point(CheckpointFolder.latestName, to: step)
    if let best = state.best { try point(CheckpointFolder.bestName, to: best.step) }
    for later in steps().reversed() where later > step && isRemovable(step: later, of: state) {
      try AtomicDirectory.remove(path(step: later))
    }
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

  /// The state of one checkpoint, not compared with its sum.
  package func state(step: Int) throws -> TrainState {
    try JSONFile.read(
      TrainState.self, from: path(step: step) + "/" + CheckpointFolder.stateName)
  }

  /// Reads state, weights and moments of one checkpoint.
  ///
  /// - Parameters:
  ///   - step: Of the checkpoint.
  ///   - config: The run that is to go on; only what it reports, and when, may differ from
  ///     the run that was saved, and its number of steps where the schedule allows it.
  ///   - parameters: Take the weights.
  ///   - optimizer: Takes the moments, or this rank's part.
  ///   - average: Takes the running average of the weights, or this rank's part.
  ///   - scratch: As large as the weights; written over where ranks have parts.
  func load(
    step: Int, config: RunConfig, parameters: Parameters, optimizer: Optimizer,
    average: WeightAverage?, scratch: Parameters
  ) throws -> TrainState {
    let path = path(step: step)
    var state = try state(step: step)
    guard TrainState.readVersions.contains(state.formatVersion), state.step == step else {
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
          "\(path) had the learning rates of a run of --steps \(state.config.steps), which a run of "
            + "--steps \(config.steps) does not have up to step \(step); give --steps "
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
      optimizer.groups(scratch), from: path + "/" + CheckpointFolder.optimizerName
    ) { optimizer.take($0, from: scratch) }
    if let average {
      try ModelFiles.readTensors(
        [("", average.whole(scratch))], from: path + "/" + CheckpointFolder.averageName
      ) { _ in average.take(from: scratch) }
    }
    state.formatVersion = TrainState.currentVersion
    return state
  }
}
