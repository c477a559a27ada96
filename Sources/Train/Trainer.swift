import Dispatch
import Eval
package import LMData
package import Model
import Storage
package import Tensor

/// The loop: batch, forward, backward, update, log, validate, save.
///
/// Same seed, same bits: every number follows from the configuration, the shards and the step,
/// for any number of threads and across any interruption.
package final class Trainer {
  package let config: RunConfig
  let dataSet: DataSet
  let pieceTable: PieceTable
  private let tokenizerFiles: [String: [UInt8]]
  private let store: CheckpointStore
  private let kernels: any Kernels
  private let parameters: Parameters
  private let gradients: Parameters
  private let optimizer: Optimizer
  let model: Transformer
  private let cost: Cost
  var state: TrainState
  /// The step on disk, and when it got there in trained seconds.
  private var saved: (step: Int, seconds: Double)

  /// FLOPs per second of the device's matrix products, for the progress line.
  package var peak: Double?
  /// Measures them once more, where a step has beaten them.
  package var measurePeak: () -> Double? = { nil }
  /// How often a peak that a step has beaten may still be measured again.
  private var peakMeasurementsLeft = 3
  /// Told of everything worth a line.
  package var report: (TrainingEvent) -> Void = { _ in }
  /// Asked after every step.
  package var shouldStop: () -> Bool = { false }
  /// Asked after every step; true saves it, and the run goes on.
  package var shouldSave: () -> Bool = { false }
  /// Called before a checkpoint is written; an error ends the run without it.
  package var willSave: () throws -> Void = {}
  /// Given the place, gradient and nats of every batch before they are looked at; tests put faults
  /// here.
  package var fault: (Cursor, Parameters, inout Double) -> Void = { _, _, _ in }

  /// Builds the model with its initial weights, or takes up the newest good checkpoint.
  ///
  /// - Parameters:
  ///   - config: The run.
  ///   - kernels: Where it is trained.
  ///   - dataSet: What it is trained on.
  ///   - pieceTable: Spells the ids, to count the words of the validation text.
  ///   - tokenizer: The tokenizer's file, stored with every checkpoint.
  ///   - tokenizerForms: The tokenizer once more in files that other programs read, by name.
  ///   - run: The run folder; created if missing.
  ///   - resume: Whether the folder may hold checkpoints, and the newest good one is taken up.
  package init(
    config: RunConfig, on kernels: any Kernels, dataSet: DataSet, pieceTable: PieceTable,
    tokenizer: [UInt8],
    tokenizerForms: [String: [UInt8]] = [:], run: String, resume: Bool,
    report: @escaping (TrainingEvent) -> Void = { _ in }
  ) throws {
    try config.validate()
    self.config = config
    self.dataSet = dataSet
    self.pieceTable = pieceTable
    tokenizerFiles = tokenizerForms.merging([CheckpointFolder.tokenizerName: tokenizer]) { $1 }
    self.report = report
    store = CheckpointStore(run: run)
    self.kernels = kernels
    parameters = try Parameters(config.model, on: kernels)
    gradients = try Parameters(config.model, on: kernels)
    optimizer = try Optimizer(config.optimizer, model: config.model, on: kernels)
    model = try Transformer(config.model, parameters: parameters, kernels: kernels)
    cost = Cost(config.model)
    state = TrainState(
      config: config, cursor: Cursor(), tokenizerSHA256: SHA256.hexDigest(of: tokenizer),
      dataSHA256: dataSet.fingerprint, vocabulary: dataSet.manifest.vocabulary)
    // Before the steps are listed: a folder that a crash left half replaced gets its name back.
    if Files.isDirectory(run) {
      try AtomicDirectory.removeAbandoned(in: run) { RunFolder.isWritten($0) }
    }
    if resume, let step = try store.newestGood(skipped: { report(.skippedCheckpoint($0)) }) {
      state = try store.load(
        step: step, config: config, parameters: parameters, optimizer: optimizer)
      guard state.dataSHA256 == dataSet.fingerprint else {
        throw TrainingError.invalid(
          "\(store.path(step: step)) was trained on other shards: the SHA-256 of their manifest is "
            + "\(state.dataSHA256), that of \(dataSet.directory) is \(dataSet.fingerprint); give the "
            + "data of the run, or start another run")
      }
      // Which checkpoints of versions before do not have.
      state.vocabulary = dataSet.manifest.vocabulary
      report(.resumed(step: step))
    } else {
      if !resume, !store.steps().isEmpty { throw TrainingError.exists(run: run) }
      try parameters.initialize(seed: config.seed)
    }
    // What is reported may have changed since.
    state.config = config
    saved = (state.step, state.trainedSeconds)
    try Files.createDirectory(run)
    try model.reserveTraining(
      Self.plannedPositions(config, manifest: dataSet.manifest),
      scoring: Self.plannedScoring(config, manifest: dataSet.manifest))
  }

  /// Steps taken so far.
  package var step: Int { state.step }

  /// The best validation so far; its checkpoint stays.
  package var best: Validation? { state.best }

  /// The weights, as of the last step.
  package var weights: Parameters { parameters }

  // MARK: The loop

  /// Runs to the last step, or until asked to stop.
  ///
  /// An error that leaves the weights whole, such as a damaged shard or a full disk, is thrown on
  /// once the steps so far have been saved, if that is possible.
  package func train() throws -> TrainingOutcome {
    do {
      return try run()
    } catch let error as TrainingError {
      throw error
    } catch {
      try? save()
      throw error
    }
  }

  private func run() throws -> TrainingOutcome {
    // A kill may have come between the last renames of a checkpoint.
    if state.step > 0 {
      try store.point(to: state.step)
      try rotate()
    }
    let incidents = try IncidentLog(run: store.run) { report(.damaged($0)) }
    while true {
      if let outcome = try runToRewind(incidents) { return outcome }
    }
  }

  /// Runs until it ends, or until a loss spike has set the state back, which returns nil.
  private func runToRewind(_ incidents: IncidentLog) throws -> TrainingOutcome? {
    let log = try RunLogs(
      run: store.run, keepingUpTo: state.step, isSampled: config.report.sampleEvery > 0,
      damaged: { report(.damaged($0)) })
    let source = try TrainingSource(
      dataSet: dataSet, split: config.data.trainSplit, seed: config.seed, mode: config.data.mode,
      budget: config.batchPieces, cursor: state.cursor)
    let prefetcher = Prefetcher(capacity: 3) { try source.next() }
    while state.step < config.steps {
      guard let next = try prefetcher.next() else {
        preconditionFailure("the training source never ends")
      }
      let began = DispatchTime.now()
      let hasRewound = try !take(next.batch, next.cursorAfter, incidents)
      let seconds = Double(DispatchTime.now().uptimeNanoseconds - began.uptimeNanoseconds) * 1e-9
      if hasRewound { return nil }
      let lengths = zip(next.batch.starts, next.batch.starts.dropFirst()).map { $1 - $0 }
      state.cursor = next.cursorAfter
      state.pieces += next.batch.positions
      state.trainedSeconds += seconds
      state.window.seconds += seconds
      state.window.flops += cost.training(lengths: lengths)
      try afterStep(log)
      let isStopped = shouldStop() && state.step < config.steps
      if shouldSave() || isStopped {
        try log.flush()
        try save()
      }
      if isStopped { return .interrupted(step: state.step) }
    }
    return .finished
  }

  /// One optimizer step on one batch, in micro-batches that add up to it.
  ///
  /// - Returns: False if the step was undone, with others before it.
  private func take(
    _ batch: Batch, _ cursorAfter: Cursor, _ incidents: IncidentLog
  ) throws -> Bool {
    let step = state.step + 1
    let nats = try computeGradients(batch, step: step)
    let norm = try Optimizer.norm(gradients, kernels: kernels)
    let loss = nats / Double(batch.positions)
    var safety = state.safety ?? SafetyState()
    var incident = Incident(
      kind: .skipped, step: step, cursor: state.cursor, sequences: batch.sequences,
      pieces: batch.positions, natsPerPiece: loss.isFinite ? loss : nil,
      gradientNorm: norm.isFinite ? norm : nil)

    guard loss.isFinite, optimizer.accepts(gradientNorm: norm) else {
      incident.tensors = try TensorStatistics.suspects(parameters, gradients: gradients)
      try tell(incident, incidents)
      safety.skipped += 1
      safety.skippedInARow += 1
      guard safety.skippedInARow <= config.safety.skipBudget else {
        throw TrainingError.diverged(incident, inARow: safety.skippedInARow)
      }
      state.safety = safety
      state.step = step
      return true
    }
    let threshold = safety.losses.threshold(deviations: config.safety.spikeDeviations)
    if let threshold, loss > threshold {
      incident.kind = .spike
      incident.threshold = threshold
      if try rewind(past: cursorAfter, incident, incidents) { return false }
      try tell(incident, incidents)
    }
    safety.losses.observe(loss, deviations: config.safety.spikeDeviations)
    safety.skippedInARow = 0
    state.safety = safety
    let rate = config.rate(step: step)
    // The moments have seen the steps that were taken, and their bias is that of so many.
    optimizer.update(
      parameters, gradients: gradients, step: step - safety.skipped, rate: rate,
      gradientNorm: norm, kernels: kernels)
    state.step = step
    state.window.nats += nats
    state.window.pieces += batch.positions
    state.window.gradientNorm = norm
    state.window.rate = rate
    return true
  }

  /// The gradient of a batch's mean loss, and the sum of its nats.
  private func computeGradients(_ batch: Batch, step: Int) throws -> Double {
    kernels.fill(gradients.all, with: 0)
    var nats = 0.0
    var done = 0
    for micro in batch.split(maximumPositions: config.microBatchPieces) {
      let dropout =
        config.dropout > 0
        ? Dropout(probability: config.dropout, seed: config.seed, step: step, rowOffset: done) : nil
      nats += try model.accumulateGradients(
        ids: micro.ids, targets: micro.targets, starts: micro.starts,
        gradientScale: 1 / Float(batch.positions), dropout: dropout,
        draw: .training(seed: config.seed, step: step), into: gradients)
      done += micro.positions
    }
    fault(state.cursor, gradients, &nats)
    return nats
  }

  private func tell(_ incident: Incident, _ log: IncidentLog) throws {
    try log.append(incident)
    report(.incident(incident))
  }

  /// Goes back to the last scheduled checkpoint, keeping the place in the data.
  ///
  /// Only scheduled checkpoints are taken, which an interrupted run has as well: a run that is
  /// killed afterwards comes to the same spike and goes back to the same weights.
  ///
  /// - Returns: Whether there was a checkpoint to go back to, and budget for it.
  private func rewind(
    past cursor: Cursor, _ incident: Incident, _ incidents: IncidentLog
  ) throws -> Bool {
    let rewinds = state.safety?.rewinds ?? 0
    guard config.safety.rewind, rewinds < config.safety.rewindBudget,
      let target = scheduledCheckpoint()
    else { return false }
    try CheckpointFolder.verify(store.path(step: target))
    var restored: TrainState
    do {
      restored = try store.load(
        step: target, config: config, parameters: parameters, optimizer: optimizer)
    } catch {
      // Weights that were read in part must not be saved as this error passes.
      throw TrainingError.invalid("\(error)")
    }
    restored.config = config
    restored.cursor = cursor
    restored.trainedSeconds = state.trainedSeconds
    restored.safety = restored.safety ?? SafetyState()
    restored.safety?.rewinds = rewinds + 1
    try store.forget(after: target, of: restored)
    state = restored
    saved = (target, state.trainedSeconds)
    var told = incident
    told.kind = .rewind
    told.target = target
    try tell(told, incidents)
    return true
  }

  /// The newest checkpoint that every run of this configuration has.
  private func scheduledCheckpoint() -> Int? {
    let every = config.report.checkpointEvery
    guard config.safety.rewind, every > 0 else { return nil }
    return store.steps().last { $0 % every == 0 && $0 <= state.step }
  }

  private func afterStep(_ log: RunLogs) throws {
    let isLast = state.step == config.steps
    let due = { [step = state.step] (every: Int) in isLast || (every > 0 && step % every == 0) }
    // Where all steps since the last line were skipped there is no loss to tell.
    if let metrics = metrics() {
      let isLogged = due(config.report.logEvery)
      if isLogged {
        try log.append(metrics)
        state.window = MetricsWindow()
      }
      report(.step(metrics, isLogged: isLogged))
    }
    var isBest = false
    if due(config.report.validateEvery),
      dataSet.manifest.totals(of: config.data.validSplit).sentences > 0
    {
      isBest = try validate(log: log)
    }
    if config.report.sampleEvery > 0, due(config.report.sampleEvery) {
      let sample = try TrainingSample.draw(
        model, pieces: pieceTable, special: dataSet.special, seed: config.seed, step: state.step)
      try log.append(sample)
      report(.sampled(sample))
    }
    let seconds = 60 * config.report.checkpointMinutes
    let isLate = seconds > 0 && state.trainedSeconds - saved.seconds >= seconds
    // The best weights are kept, so they must have been saved.
    if isBest || isLate || due(config.report.checkpointEvery) {
      try log.flush()
      try save()
    }
  }

  private func metrics() -> Metrics? {
    let window = state.window
    guard window.pieces > 0 else { return nil }
    let natsPerPiece = window.nats / Double(window.pieces)
    return Metrics(
      kind: "train", step: state.step, pieces: state.pieces, natsPerPiece: natsPerPiece,
      piecesCounted: window.pieces,
      wordPerplexity: wordPerplexity(natsPerPiece: natsPerPiece), learningRate: window.rate,
      gradientNorm: window.gradientNorm, piecesPerSecond: Double(window.pieces) / window.seconds,
      peakFraction: peakFraction(flopsPerSecond: window.flops / window.seconds),
      skippedSteps: state.safety.flatMap { $0.skipped > 0 ? $0.skipped : nil },
      trainedSeconds: state.trainedSeconds)
  }

  /// Share of the peak, or nil where the peak is not known.
  ///
  /// A step far above it shows that other programs held the cores when it was measured.
  private func peakFraction(flopsPerSecond: Double) -> Double? {
    guard var peak else { return nil }
    let limit = 1.05
    if flopsPerSecond > limit * peak, peakMeasurementsLeft > 0 {
      peakMeasurementsLeft -= 1
      peak = max(peak, measurePeak() ?? peak)
      self.peak = peak
    }
    let fraction = flopsPerSecond / peak
    return fraction > limit ? nil : fraction
  }

  /// Word perplexity of a loss per piece, by the ratio of pieces to words of the training text.
  private func wordPerplexity(natsPerPiece: Double) -> Double {
    let total = dataSet.manifest.totals(of: config.data.trainSplit)
    return Tally(
      nats: natsPerPiece * Double(total.pieces + total.sentences), pieces: total.pieces,
      sentences: total.sentences, words: total.words, bytes: total.bytes
    ).wordPerplexity
  }

  private func save() throws {
    guard saved.step != state.step else { return }
    try willSave()
    try store.save(
      state, model: config.model, parameters: parameters, optimizer: optimizer,
      tokenizerFiles: tokenizerFiles)
    saved = (state.step, state.trainedSeconds)
    report(.saved(path: store.path(step: state.step)))
    try rotate()
  }

  private func rotate() throws {
    // While steps are skipped the weights may be the ones at fault: what was kept before stays.
    guard state.safety?.skippedInARow ?? 0 == 0 else { return }
    try store.rotate(
      state, keepLast: config.report.keepLast, keepEvery: config.report.keepEvery,
      alsoKept: scheduledCheckpoint())
  }
}
