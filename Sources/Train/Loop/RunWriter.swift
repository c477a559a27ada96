import Model
import Storage

/// Everything that a run writes into its folder.
///
/// Rank 0 has it: `Trainer` makes it there, and calls it there alone.
final class RunWriter {
  private let config: RunConfig
  private let store: CheckpointStore
  private let tokenizerFiles: [String: [UInt8]]
  private let incidents: IncidentLog
  private let damaged: (String) -> Void
  private var logs: RunLogs

  /// Opens the logs of a run at a step; lines of later steps are dropped.
  ///
  /// - Parameters:
  ///   - config: The run.
  ///   - store: Its checkpoints.
  ///   - tokenizerFiles: Stored with every checkpoint, by name.
  ///   - step: Steps taken so far.
  ///   - damaged: Told of every line of a log that is not what was written.
  init(
    _ config: RunConfig, _ store: CheckpointStore, tokenizerFiles: [String: [UInt8]], step: Int,
    damaged: @escaping (String) -> Void
  ) throws {
    self.config = config
    self.store = store
    self.tokenizerFiles = tokenizerFiles
    self.damaged = damaged
    incidents = try IncidentLog(run: store.run, damaged: damaged)
    logs = try Self.open(config, store, step: step, damaged: damaged)
  }

  private static func open(
    _ config: RunConfig, _ store: CheckpointStore, step: Int, damaged: (String) -> Void
  ) throws -> RunLogs {
    try RunLogs(
      run: store.run, keepingUpTo: step, isSampled: config.report.sampleEvery > 0,
      damaged: damaged)
  }

  /// Opens the logs once more, for a run that goes on after an earlier step.
  func reopen(at step: Int) throws {
    logs = try Self.open(config, store, step: step, damaged: damaged)
  }

  func append(_ metrics: Metrics) throws { try logs.append(metrics) }

  func append(_ sample: TrainingSample) throws { try logs.append(sample) }

  func append(_ incident: Incident) throws { try incidents.append(incident) }

  /// Writes a checkpoint, after every line so far.
  ///
  /// - Parameters:
  ///   - state: All that resume needs beside weights and moments.
  ///   - parameters: The weights.
  ///   - optimizer: The moments.
  ///   - average: The running average of the weights, if there is one.
  ///   - scratch: Where parts of the moments come together.
  ///   - collect: Called with the number of a moment, to bring it there.
  ///   - willSave: Called before anything is written; an error leaves the folder as it is.
  func save(
    _ state: TrainState, _ parameters: Parameters, _ optimizer: Optimizer,
    _ average: WeightAverage?, scratch: Parameters, collecting collect: (Int) throws -> Void,
    willSave: () throws -> Void
  ) throws {
    try logs.flush()
    try willSave()
    try store.save(
      state, model: config.model, parameters: parameters, optimizer: optimizer,
      average: average, scratch: scratch, collecting: collect, tokenizerFiles: tokenizerFiles)
  }

  /// Removes checkpoints that no rule keeps.
  func rotate(_ state: TrainState) throws {
    // While steps are skipped the weights may be the ones at fault: what was kept before stays.
    guard state.safety?.skippedInARow ?? 0 == 0 else { return }
    try store.rotate(
      state, keepLast: config.report.keepLast, keepEvery: config.report.keepEvery,
      alsoKept: store.scheduled(config, upTo: state.step))
  }
}

extension CheckpointStore {
  /// The newest checkpoint that every run of this configuration has, for a rewind.
  func scheduled(_ config: RunConfig, upTo step: Int) -> Int? {
    let every = config.report.checkpointEvery
    guard config.safety.rewind, every > 0 else { return nil }
    return steps().last { $0 % every == 0 && $0 <= step }
  }
}
