import Dispatch
import Eval
package import LMData
package import Model
import Storage
import Tensor

/// What a run tells while it goes.
package enum TrainingEvent: Sendable {
  case resumed(step: Int)
  /// A checkpoint that resume could not use, and why.
  case skippedCheckpoint(String)
  /// A step was taken; `isLogged` if it is due for a line that stays.
  case step(Metrics, isLogged: Bool)
  /// Sequences of the validation text scored so far.
  case validating(Int)
  case validated(Validation, isBest: Bool)
  case saved(path: String)
}

/// How a run ended.
package enum TrainingOutcome: Sendable, Equatable {
  case finished
  /// Asked to stop; everything up to this step is saved.
  case interrupted(step: Int)
}

/// The loop: batch, forward, backward, update, log, validate, save.
///
/// Same seed, same bits: every number follows from the configuration, the shards and the step,
/// for any number of threads and across any interruption.
package final class Trainer {
  package let config: RunConfig
  private let dataSet: DataSet
  private let pieceTable: PieceTable
  private let tokenizer: [UInt8]
  private let store: CheckpointStore
  private let kernels: any Kernels = CPUKernels()
  private let parameters: Parameters
  private let gradients: Parameters
  private let optimizer: Optimizer
  private let model: Transformer
  private let cost: Cost
  private var state: TrainState
  /// The step on disk, and when it got there in trained seconds.
  private var saved: (step: Int, seconds: Double)

  /// FLOPs per second of the machine's matrix products, for the progress line.
  package var peak: Double?
  /// Told of everything worth a line.
  package var report: (TrainingEvent) -> Void = { _ in }
  /// Asked after every step.
  package var shouldStop: () -> Bool = { false }

  /// Builds the model with its initial weights, or takes up the newest good checkpoint.
  ///
  /// - Parameters:
  ///   - pieceTable: Spells the ids, to count the words of the validation text.
  ///   - tokenizer: The tokenizer's file, stored with every checkpoint.
  ///   - run: The run folder; created if missing.
  ///   - resume: Whether the folder may hold checkpoints, and the newest good one is taken up.
  package init(
    config: RunConfig, dataSet: DataSet, pieceTable: PieceTable, tokenizer: [UInt8], run: String,
    resume: Bool, report: @escaping (TrainingEvent) -> Void = { _ in }
  ) throws {
    try config.validate()
    self.config = config
    self.dataSet = dataSet
    self.pieceTable = pieceTable
    self.tokenizer = tokenizer
    self.report = report
    store = CheckpointStore(run: run)
    parameters = Parameters(config.model)
    gradients = Parameters(config.model)
    optimizer = Optimizer(config.optimizer, model: config.model)
    model = try Transformer(config.model, parameters: parameters, kernels: kernels)
    cost = Cost(config.model)
    state = TrainState(
      config: config, cursor: Cursor(), tokenizerSHA256: SHA256.hexDigest(of: tokenizer),
      dataSHA256: dataSet.fingerprint)
    // Before the steps are listed: a folder that a crash left half replaced gets its name back.
    if Files.isDirectory(run) {
      try AtomicDirectory.removeAbandoned(in: run) {
        $0.hasPrefix("step-") || $0 == CheckpointFolder.latestName
      }
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
      report(.resumed(step: step))
    } else {
      if !resume, !store.steps().isEmpty { throw TrainingError.exists(run: run) }
      parameters.initialize(seed: config.seed)
    }
    // What is reported may have changed since.
    state.config = config
    saved = (state.step, state.trainedSeconds)
    try Files.createDirectory(run)
    model.reserveTraining(Self.plannedPositions(config, manifest: dataSet.manifest))
  }

  /// Positions the largest micro-batch can have: the budget, or the longest sentence beyond it.
  package static func plannedPositions(_ config: RunConfig, manifest: Manifest) -> Int {
    let longest =
      config.data.streamLength
      ?? manifest.totals(of: config.data.trainSplit).longestSentence + 1
    return max(min(config.microBatchPieces, config.batchPieces), longest)
  }

  /// Steps taken so far.
  package var step: Int { state.step }

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
    let log = try MetricsLog(run: store.run, keepingUpTo: state.step)
    let source = try TrainingSource(
      dataSet: dataSet, split: config.data.trainSplit, seed: config.seed, mode: config.data.mode,
      budget: config.batchPieces, cursor: state.cursor)
    let prefetcher = Prefetcher(capacity: 3) { try source.next() }
    while state.step < config.steps {
      guard let next = try prefetcher.next() else {
        preconditionFailure("the training source never ends")
      }
      let began = DispatchTime.now()
      try take(next.batch)
      let seconds = Double(DispatchTime.now().uptimeNanoseconds - began.uptimeNanoseconds) * 1e-9
      let lengths = zip(next.batch.starts, next.batch.starts.dropFirst()).map { $1 - $0 }
      state.cursor = next.cursorAfter
      state.pieces += next.batch.positions
      state.trainedSeconds += seconds
      state.window.pieces += next.batch.positions
      state.window.seconds += seconds
      state.window.flops += cost.training(lengths: lengths)
      try afterStep(log)
      if shouldStop(), state.step < config.steps {
        try save()
        return .interrupted(step: state.step)
      }
    }
    return .finished
  }

  /// One optimizer step on one batch, in micro-batches that add up to it.
  private func take(_ batch: Batch) throws {
    let step = state.step + 1
    let rate = config.schedule.rate(step: step, of: config.steps, peak: config.optimizer.rate)
    gradients.all.fill(0)
    var nats = 0.0
    var done = 0
    for micro in batch.split(maximumPositions: config.microBatchPieces) {
      let dropout =
        config.dropout > 0
        ? Dropout(probability: config.dropout, seed: config.seed, step: step, rowOffset: done) : nil
      nats += model.accumulateGradients(
        ids: micro.ids, targets: micro.targets, starts: micro.starts,
        gradientScale: 1 / Float(batch.positions), dropout: dropout,
        draw: .training(seed: config.seed, step: step), into: gradients)
      done += micro.positions
    }
    let norm = Optimizer.norm(gradients, kernels: kernels)
    guard nats.isFinite, norm.isFinite else {
      throw TrainingError.diverged(
        step: step, natsPerPiece: nats / Double(batch.positions), gradientNorm: norm)
    }
    optimizer.update(
      parameters, gradients: gradients, step: step, rate: rate, gradientNorm: norm,
      kernels: kernels)
    state.step = step
    state.window.nats += nats
    state.window.gradientNorm = norm
    state.window.rate = rate
  }

  private func afterStep(_ log: MetricsLog) throws {
    let isLast = state.step == config.steps
    let due = { [step = state.step] (every: Int) in isLast || (every > 0 && step % every == 0) }
    let metrics = metrics()
    let isLogged = due(config.report.logEvery)
    if isLogged {
      try log.append(metrics)
      state.window = MetricsWindow()
    }
    report(.step(metrics, isLogged: isLogged))
    var isBest = false
    if due(config.report.validateEvery),
      dataSet.manifest.totals(of: config.data.validSplit).sentences > 0
    {
      isBest = try validate(log: log)
    }
    let seconds = 60 * config.report.checkpointMinutes
    let isLate = seconds > 0 && state.trainedSeconds - saved.seconds >= seconds
    // The best weights are kept, so they must have been saved.
    if isBest || isLate || due(config.report.checkpointEvery) { try save() }
  }

  private func metrics() -> Metrics {
    let window = state.window
    let natsPerPiece = window.nats / Double(window.pieces)
    return Metrics(
      kind: "train", step: state.step, pieces: state.pieces, natsPerPiece: natsPerPiece,
      wordPerplexity: wordPerplexity(natsPerPiece: natsPerPiece), learningRate: window.rate,
      gradientNorm: window.gradientNorm, piecesPerSecond: Double(window.pieces) / window.seconds,
      peakFraction: peak.map { window.flops / window.seconds / $0 },
      trainedSeconds: state.trainedSeconds)
  }

  /// Word perplexity of a loss per piece, by the ratio of pieces to words of the training text.
  private func wordPerplexity(natsPerPiece: Double) -> Double {
    let total = dataSet.manifest.totals(of: config.data.trainSplit)
    return Tally(
      nats: natsPerPiece * Double(total.pieces + total.sentences), pieces: total.pieces,
      sentences: total.sentences, words: total.words, bytes: total.bytes
    ).wordPerplexity
  }

  /// Scores the validation split, without dropout, in file order.
  ///
  /// - Returns: Whether it is the best so far.
  private func validate(log: MetricsLog) throws -> Bool {
    let tally = try Validator(
      model: model, dataSet: dataSet, split: config.data.validSplit, mode: config.data.mode,
      pieceTable: pieceTable
    ).tally(limit: config.report.validationSequences) { report(.validating($0)) }
    let validation = Validation(step: state.step, tally: tally)
    let isBest = state.best.map { tally.natsPerPiece < $0.tally.natsPerPiece } ?? true
    if isBest { state.best = validation }
    try log.append(
      Metrics(
        kind: "valid", step: state.step, pieces: state.pieces, natsPerPiece: tally.natsPerPiece,
        wordPerplexity: tally.wordPerplexity, trainedSeconds: state.trainedSeconds))
    report(.validated(validation, isBest: isBest))
    return isBest
  }

  private func save() throws {
    guard saved.step != state.step else { return }
    try store.save(
      state, model: config.model, parameters: parameters, optimizer: optimizer,
      tokenizer: tokenizer)
    saved = (state.step, state.trainedSeconds)
    try store.rotate(
      newest: state.step, keepLast: config.report.keepLast, keepEvery: config.report.keepEvery,
      best: state.best?.step)
    report(.saved(path: store.path(step: state.step)))
  }
}
