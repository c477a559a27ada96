package import Communication
import Dispatch
import Eval
package import LMData
package import Model
import Storage
package import Tensor

/// The loop: batch, gradient, update, log, validate, save.
///
/// Same seed, same bits: every number follows from the configuration, the shards and the step,
/// for any number of threads and ranks and across any interruption. All ranks load, compute and
/// update; rank 0 writes and reports, and what only one can decide is asked of it.
package final class Trainer {
  package let config: RunConfig
  let dataSet: DataSet
  let tokenTable: TokenTable
  private let tokenizerFiles: [String: [UInt8]]
  let store: CheckpointStore
  let kernels: any Kernels
  let communicator: any Communicator
  let parameters: Parameters
  let gradient: StepGradient
  let optimizer: Optimizer
  /// The running average of the weights, if the run has one.
  let average: WeightAverage?
  let model: Transformer
  private let cost: Cost
  private let cadence: Cadence
  var state: TrainState
  /// The step on disk, and when it got there in trained seconds.
  var saved: (step: Int, seconds: Double)
  /// What writes into the run folder, once the run goes; nil on other ranks than 0.
  private(set) var writer: RunWriter?
  /// Whether all ranks have come to an error together, and can still save.
  private var isAgreed = false

  /// FLOPs per second of the device's matrix products, for the progress line.
  package var peak: Double?
  /// Measures them once more, where a step has beaten them; may write over the memory it is given, so
  /// that a run takes no more of it than was planned.
  package var measurePeak: (_ idle: Buffer?) -> Double? = { _ in nil }
  /// How often a peak that a step has beaten may still be measured again.
  var peakMeasurementsLeft = 3
  /// Told of everything worth a line, on rank 0.
  package var report: (TrainingEvent) -> Void = { _ in }
  /// Asked after every step, on every rank; one that says so stops all.
  package var shouldStop: () -> Bool = { false }
  /// Asked after every step, on every rank; true saves it, and the run goes on.
  package var shouldSave: () -> Bool = { false }
  /// Called before a checkpoint is written; an error ends the run without it.
  package var willSave: () throws -> Void = {}
  /// Given the place, gradient and nats of every batch before they are looked at; tests put faults
  /// here.
  package var fault: (Cursor, Parameters, inout Double) -> Void = { _, _, _ in }
  /// Given the gradient that all ranks compute alike before they compare it; tests put faults here.
  package var probeFault: (Parameters) -> Void = { _ in }
  /// Steps from one look at whether all ranks agree to the next; their weights are compared before every
  /// checkpoint as well.
  package var agreementInterval = 100

  /// Builds the model with its initial weights, or takes up the newest good checkpoint.
  ///
  /// - Parameters:
  ///   - config: The run.
  ///   - kernels: Where this rank trains it.
  ///   - communicator: The ranks that train it together.
  ///   - link: Carries gradients and weights between them; nil if the communicator does.
  ///   - dataSet: What it is trained on.
  ///   - tokenTable: Spells the ids, to count the words of the validation text.
  ///   - tokenizer: The tokenizer's file, stored with every checkpoint.
  ///   - tokenizerForms: The tokenizer once more in files that other programs read, by name.
  ///   - run: The run folder, the same for all ranks; created if missing.
  ///   - resume: Whether the folder may hold checkpoints, and the newest good one is taken up.
  ///   - report: Told of everything worth a line, on rank 0.
  package init(
    config: RunConfig, on kernels: any Kernels,
    with communicator: any Communicator = SingleProcess(),
    linkedBy link: (any DeviceLink)? = nil, dataSet: DataSet, tokenTable: TokenTable,
    tokenizer: [UInt8], tokenizerForms: [String: [UInt8]] = [:],
    run: String, resume: Bool, report: @escaping (TrainingEvent) -> Void = { _ in }
  ) throws {
    try config.validate()
    guard communicator.size <= config.shares else {
      throw TrainingError.processes(communicator.size, shares: config.shares)
    }
    self.config = config
    self.dataSet = dataSet
    self.tokenTable = tokenTable
    tokenizerFiles = tokenizerForms.merging([CheckpointFolder.tokenizerName: tokenizer]) { $1 }
    self.report = report
    self.kernels = kernels
    self.communicator = communicator
    store = CheckpointStore(run: run)
    var weights = try Parameters(config.model, on: kernels)
    weights.ngrams = try NgramTables(config.model, isTrained: true, on: kernels)
    parameters = weights
    model = try Transformer(config.model, parameters: parameters, kernels: kernels)
    gradient = try StepGradient(
      config, model: model, communicator: communicator, linkedBy: link,
      largestStep: Self.largestStep(config, manifest: dataSet.manifest))
    optimizer = try Optimizer(
      config.optimizer, model: config.model, on: kernels, sharedBy: gradient.sum)
    let sum = gradient.sum
    average = try config.averageDecay.map {
      try WeightAverage(decay: $0, model: config.model, on: kernels, sharedBy: sum)
    }
    cost = Cost(config.model)
    cadence = Cadence(config)
    state = TrainState(
      config: config, cursor: Cursor(), tokenizerSHA256: SHA256.hexDigest(of: tokenizer),
      dataSHA256: dataSet.fingerprint, vocabulary: dataSet.manifest.vocabulary)
    saved = (0, 0)
    if let step = try Self.stepToResume(store, communicator, resume: resume, report) {
      state = try communicator.together { try resumed(step) }
      if communicator.isRoot { report(.resumed(step: step)) }
    } else {
      try begin()
    }
    model.weightsChanged()
    // What is reported may have changed since.
    state.config = config
    saved = (state.step, state.trainedSeconds)
    try communicator.onRoot { try Files.createDirectory(run) }
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

  /// Reports on rank 0.
  func tell(_ event: TrainingEvent) {
    if communicator.isRoot { report(event) }
  }

  // MARK: The loop

  /// Runs to the last step, or until asked to stop.
  ///
  /// An error that leaves the weights whole, such as a damaged shard or a full disk, is thrown on
  /// once the steps so far have been saved, if that is possible.
  package func train() throws -> TrainingOutcome {
    defer { gradient.close() }
    do {
      return try run()
    } catch let error as TrainingError {
      throw error
    } catch {
      // What has failed on one of several ranks alone leaves the others where it cannot reach them.
      if communicator.size == 1 || isAgreed, state.step > 0 { try? save() }
      throw error
    }
  }

  /// Runs `body`; every rank knows if it throws on one, and that the weights are as they were.
  private func agreed<Result>(_ body: () throws -> Result) throws -> Result {
    do {
      return try communicator.together(body)
    } catch CommunicationError.unusable(let problem) {
      throw CommunicationError.unusable(problem)
    } catch {
      isAgreed = true
      throw error
    }
  }

  private func run() throws -> TrainingOutcome {
    try communicator.onRoot {
      // A kill may have come between the last renames of a checkpoint.
      if state.step > 0 { try store.point(to: state) }
      let writer = try RunWriter(
        config, store, tokenizerFiles: tokenizerFiles, step: state.step,
        damaged: { [report] in report(.damaged($0)) })
      if state.step > 0 { try writer.rotate(state) }
      self.writer = writer
    }
    while true {
      if let outcome = try runToRewind() { return outcome }
      try communicator.onRoot { try writer?.reopen(at: state.step) }
    }
  }

  /// Runs until it ends, or until a loss spike has set the state back, which returns nil.
  private func runToRewind() throws -> TrainingOutcome? {
    let source = try TrainingSource(
      dataSet: dataSet, split: config.data.trainSplit, seed: config.seed, mode: config.data.mode,
      budget: config.batchTokens, cursor: state.cursor)
    let prefetcher = Prefetcher(capacity: 3) { try source.next() }
    while state.step < config.steps {
      if isOutOfPatience { return .stoppedEarly(step: state.step) }
      guard let next = try agreed({ try prefetcher.next() }) else {
        preconditionFailure("the training source never ends")
      }
      let began = DispatchTime.now()
      let hasRewound = try !runStep(on: next.batch, cursorAfter: next.cursorAfter)
      let seconds = Double(DispatchTime.now().uptimeNanoseconds - began.uptimeNanoseconds) * 1e-9
      if hasRewound { return nil }
      let lengths = zip(next.batch.starts, next.batch.starts.dropFirst()).map { $1 - $0 }
      state.cursor = next.cursorAfter
      state.tokens += next.batch.positions
      state.trainedSeconds += seconds
      state.window.seconds += seconds
      state.window.flops += cost.training(
        lengths: lengths, headRows: config.candidates(step: state.step),
        shares: config.model.clusters?.shares(of: next.batch.targets))
      let isDue = try afterStep()
      let isStopped = shouldStop() && state.step < config.steps
      // The clock of rank 0 decides, for all.
      let isLate = communicator.isRoot && isLate
      let asked = try communicator.any([isStopped, shouldSave(), isLate])
      let isOver = isOutOfPatience && state.step < config.steps
      if isDue || isOver || asked.contains(true) { try save() }
      if asked[0] { return .interrupted(step: state.step) }
    }
    try requireTakenStep()
    return .finished
  }

  /// One optimizer step on one batch.
  ///
  /// - Returns: False if the step was undone, with others before it.
  private func runStep(on batch: Batch, cursorAfter: Cursor) throws -> Bool {
    let step = state.step + 1
    let gradients = gradient.gradients
    if step % agreementInterval == 0 { try requireAgreement(on: batch) }
    var nats = try gradient.compute(batch, step: step)
    var areRowsAccepted = true
    if config.optimizer.freezesEmbedding == true {
      // Rows of n-grams move with the gradient that the embeddings would have had.
      if parameters.ngrams != nil {
        areRowsAccepted = optimizer.accepts(gradientNorm: try gradient.norm())
      }
      // What stays as it was counts neither for clipping nor for the norm that is told.
      kernels.fill(gradients.embedding, with: 0)
    }
    fault(state.cursor, gradients, &nats)
    let norm = try gradient.norm()
    let loss = nats / Double(batch.positions)
    var safety = state.safety ?? SafetyState()
    // A loss over all of the vocabulary is larger than one over some of it, and no spike.
    if config.isFirstFullStep(step) { safety.losses = LossStatistics() }
    var incident = Incident(
      kind: .skipped, step: step, cursor: state.cursor, sequences: batch.sequences,
      tokens: batch.positions, natsPerToken: loss.isFinite ? loss : nil,
      gradientNorm: norm.isFinite ? norm : nil)
    switch safety.verdict(
      loss: loss, isAccepted: areRowsAccepted && optimizer.accepts(gradientNorm: norm),
      config.safety)
    {
    case .skip:
      incident.tensors = try TensorStatistics.suspects(
        parameters, gradients: try gradient.complete())
      try tell(incident)
      guard safety.countSkipped(config.safety) else {
        throw TrainingError.diverged(incident, inARow: safety.skippedInARow)
      }
      state.safety = safety
      state.step = step
      return true
    case .spike(let threshold):
      incident.kind = .spike
      incident.threshold = threshold
      if try rewind(past: cursorAfter, incident) { return false }
      try tell(incident)
    case .take: break
    }
    safety.countTaken(loss: loss, config.safety)
    state.safety = safety
    let rate = config.rate(step: step)
    // The moments have seen the steps that were taken, and their bias is that of so many.
    optimizer.update(
      parameters, gradients: gradients, step: step - safety.skipped, rate: rate,
      gradientNorm: norm, kernels: kernels)
    try gradient.moveNgrams(of: parameters)
    average?.follow(parameters, taken: step - safety.skipped, kernels: kernels)
    // Every rank has moved its part.
    try gradient.sum?.gather(parameters.all)
    model.weightsChanged()
    state.step = step
    state.window.nats += nats
    state.window.tokens += batch.positions
    state.window.gradientNorm = norm
    state.window.rate = rate
    if config.candidates(step: step) != nil {
      state.window.softmaxCandidates = max(
        state.window.softmaxCandidates ?? 0, gradient.candidates)
    }
    return true
  }

  /// Logs, validates and draws samples where it is time to.
  ///
  /// - Returns: Whether the step is to be saved.
  private func afterStep() throws -> Bool {
    let step = state.step
    // Where all steps since the last line were skipped there is no loss to tell.
    if let metrics = metrics() {
      let isLogged = cadence.logs(after: step)
      if isLogged {
        try communicator.onRoot { try writer?.append(metrics) }
        state.window = MetricsWindow()
      }
      tell(.step(metrics, isLogged: isLogged))
    }
    var isBest = false
    if cadence.validates(after: step),
      dataSet.manifest.totals(of: config.data.validSplit).sentences > 0
    {
      isBest = try validate()
    }
    if cadence.samples(after: step) {
      try communicator.onRoot {
        let sample = try TrainingSample.draw(
          model, tokens: tokenTable, special: dataSet.special, seed: config.seed, step: step)
        try writer?.append(sample)
        report(.sampled(sample))
      }
    }
    // The best weights are kept, so they must have been saved.
    return isBest || cadence.saves(after: step)
  }

  /// Whether as many validations in a row were no better than the best as the run waits for.
  private var isOutOfPatience: Bool {
    guard let patience = config.report.patience else { return false }
    return state.validationsSinceBest ?? 0 >= patience
  }

  /// Whether the last checkpoint lies too far back.
  private var isLate: Bool {
    cadence.isLate(secondsSinceSaved: state.trainedSeconds - saved.seconds)
  }

  private func save() throws {
    guard saved.step != state.step else { return }
    try requireAgreement()
    try requireFiniteWeights()
    try communicator.together {
      // The sums of gradients are needed no more, and moments come together in their place.
      let scratch = gradient.gradients
      var collected = 0
      func collect(_ index: Int) throws {
        collected += 1
        if index < 2 {
          try optimizer.collect(index, into: scratch)
        } else {
          try average?.collect(into: scratch)
        }
      }
      // The others take part in this, however far rank 0 comes.
      defer { while collected < (average == nil ? 2 : 3) { try? collect(collected) } }
      try writer?.save(
        state, parameters, optimizer, average, scratch: scratch, collecting: collect,
        willSave: willSave)
    }
    saved = (state.step, state.trainedSeconds)
    tell(.saved(path: store.path(step: state.step)))
    try communicator.onRoot { try writer?.rotate(state) }
  }
}
