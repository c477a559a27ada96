import Communication
import LMData
import Model
import Storage

/// What a trainer begins or goes on with.
extension Trainer {
  /// Draws the initial weights, or takes those of another checkpoint.
  func begin() throws {
    if let origin = config.initialWeights {
      try communicator.together { try origin.read(into: parameters, config.model) }
    } else {
      try parameters.initialize(seed: config.seed)
    }
    try requireFiniteWeights(
      of: config.initialWeights.map { "\($0)" } ?? "the initial weights that were drawn")
    average?.begin(at: parameters)
  }

  /// The newest good checkpoint of a run that goes on, as rank 0 finds it; nil for a new run.
  static func stepToResume(
    _ store: CheckpointStore, _ communicator: any Communicator, resume: Bool,
    _ report: (TrainingEvent) -> Void
  ) throws -> Int? {
    var newest: Int?
    try communicator.onRoot {
      // Before the steps are listed: a folder that a crash left half replaced gets its name back.
      if Files.isDirectory(store.run) {
        try AtomicDirectory.removeAbandoned(in: store.run) { RunFolder.isWritten($0) }
      }
      if resume {
        newest = try store.newestGood(skipped: { report(.skippedCheckpoint($0)) })
      } else if !store.steps().isEmpty {
        throw TrainingError.exists(run: store.run)
      }
    }
    let step = try communicator.broadcast(newest ?? -1)
    return step < 0 ? nil : step
  }

  /// Weights, moments and state of a checkpoint of this run.
  func resumed(_ step: Int) throws -> TrainState {
    var state = try store.load(
      step: step, config: config, parameters: parameters, optimizer: optimizer,
      average: average, scratch: gradient.gradients)
    guard state.dataSHA256 == dataSet.fingerprint else {
      throw TrainingError.invalid(
        "\(store.path(step: step)) was trained on other shards: the SHA-256 of their manifest is "
          + "\(state.dataSHA256), that of \(dataSet.directory) is \(dataSet.fingerprint); give the "
          + "data of the run, or start another run")
    }
    try requireFiniteWeights(of: store.path(step: step))
    // Which checkpoints of versions before do not have.
    state.vocabulary = dataSet.manifest.vocabulary
    return state
  }
}
