import LMData
import Model
import Tensor
import Train

/// What the options make of a configuration.
extension RunOptions {
  /// Applies the options to a configuration and fits it to a data set.
  func apply(to config: inout RunConfig, manifest: Manifest) throws {
    try applyModel(to: &config)
    set(&config.steps, steps)
    set(&config.batchTokens, batchTokens)
    set(&config.microBatchTokens, microBatchTokens)
    set(&config.gradientShares, gradientShares, whereNil: 1)
    if let streamLength { config.data.streamLength = streamLength }
    set(&config.optimizer.kind, optimizer)
    set(&config.optimizer.rate, rate)
    set(&config.optimizer.embeddingRate, embeddingRate, whereNil: config.optimizer.rate)
    set(&config.optimizer.ngramRate, ngramRate, whereNil: OptimizerConfig.defaultNgramRate)
    set(&config.optimizer.matrixRate, matrixRate, whereNil: config.optimizer.rate)
    set(&config.optimizer.muonForm, muonForm, whereNil: .standard)
    set(&config.optimizer.weightDecay, weightDecay)
    set(&config.optimizer.clipNorm, gradClip)
    set(&config.optimizer.beta1, betas?.first)
    set(&config.optimizer.beta2, betas?.second)
    set(&config.optimizer.freezesEmbedding, freezeEmbedding, whereNil: false)
    if let ema { config.averageDecay = ema == 0 ? nil : ema }
    try applySoftmax(to: &config)
    set(&config.dropout, dropout)
    set(&config.precision, precision, whereNil: .float32)
    set(&config.seed, seed)
    try applySchedule(to: &config)
    set(&config.safety.skipBudget, skipBudget)
    set(&config.safety.spikeDeviations, spikeDeviations)
    set(&config.safety.rewind, rewind)
    set(&config.report.logEvery, logEvery)
    set(&config.report.validateEvery, validateEvery)
    set(&config.report.validationSequences, validationSequences)
    set(&config.report.checkpointEvery, checkpointEvery)
    set(&config.report.keepLast, keepLast)
    set(&config.report.keepEvery, keepEvery)
    set(&config.report.sampleEvery, sampleEvery)
    if let patience { config.report.patience = patience == 0 ? nil : patience }
    guard config.model.vocabularySize == manifest.tokenizer.vocabularySize else {
      throw TrainingError.invalid(
        "the configuration is for \(config.model.vocabularySize) tokens, the data has "
          + "\(manifest.tokenizer.vocabularySize); use the data it was made for, or a preset")
    }
    config.model.bosID = manifest.special.bos
    config.model.eosID = manifest.special.eos
  }

  /// Parts of a recipe that no other option rules out: they were asked for by name, or a file has them
  /// beside what it says itself.
  var fixedParts: Set<RunConfig.RecipePart> {
    var parts: Set<RunConfig.RecipePart> = []
    let isFile = config != nil
    if qkNorm != nil || (isFile && attention == nil) { parts.insert(.queryKeyNorm) }
    if softmaxCandidates != nil || fullSoftmaxShare != nil || (isFile && cutoffs == nil) {
      parts.insert(.sampledSoftmax)
    }
    if muonForm != nil || (isFile && optimizer == nil) { parts.insert(.muonForm) }
    if ngramRate != nil || (isFile && bigramRows == nil && trigramRows == nil) {
      parts.insert(.ngramRate)
    }
    return parts
  }

  private func applySoftmax(to config: inout RunConfig) throws {
    if let softmaxCandidates {
      var sampled = config.sampledSoftmax ?? SampledSoftmaxConfig(candidates: softmaxCandidates)
      sampled.candidates = softmaxCandidates
      config.sampledSoftmax = softmaxCandidates == 0 ? nil : sampled
    }
    guard let fullSoftmaxShare else { return }
    guard softmaxCandidates != nil || config.model.cutoffs.isEmpty else {
      throw TrainingError.invalid(
        "--full-softmax-share goes with --softmax-candidates, but the head has clusters of the vocabulary, "
          + "whose softmax is not sampled; leave out --full-softmax-share, or give --cutoffs none")
    }
    guard config.sampledSoftmax != nil else {
      throw TrainingError.invalid(
        "--full-softmax-share goes with --softmax-candidates: without it all of the run is trained with "
          + "all tokens")
    }
    config.sampledSoftmax?.fullShare = fullSoftmaxShare
  }

  private func applyModel(to config: inout RunConfig) throws {
    set(&config.model.layers, layers)
    set(&config.model.width, width)
    set(&config.model.heads, heads)
    if let kvHeads { config.model.fewerKeyValueHeads = kvHeads }
    if let headDim { config.model.ownHeadWidth = headDim }
    config.model.normaliseHeads()
    set(&config.model.qkvBias, qkvBias)
    set(&config.model.hidden, hidden)
    set(&config.model.qkNorm, qkNorm)
    set(&config.model.bigramRows, bigramRows)
    set(&config.model.trigramRows, trigramRows)
    set(&config.model.cutoffs, cutoffs?.ids)
    if let clusterFactor {
      guard !config.model.cutoffs.isEmpty else {
        throw TrainingError.invalid(
          "--cluster-factor goes with --cutoffs: without them all embeddings are equally wide")
      }
      config.model.clusterFactor = clusterFactor
    }
    set(&config.model.tiedHead, tiedHead)
    set(&config.model.zeroInitResidual, zeroInitResidual)
    if let attention { config.model.use(attention) }
    if let position { config.model.position = position }
    if let relativeBiasLength { config.model.relativeBiasLength = relativeBiasLength }
  }

  private func applySchedule(to config: inout RunConfig) throws {
    let warmup = warmup ?? config.schedule.warmup
    try applyKind(to: &config, warmup: warmup)
    guard let decayShare else { return }
    guard case .warmupStableDecay = config.schedule else {
      throw TrainingError.invalid(
        "--decay-share goes with the schedule warmupStableDecay, found \(config.schedule.kind)")
    }
    config.schedule = .warmupStableDecay(warmup: warmup, decay: decayShare)
  }

  private func applyKind(to config: inout RunConfig, warmup: Int) throws {
    switch schedule ?? config.schedule.kind {
    case "cosine":
      guard case .cosine(_, let floor) = config.schedule else {
        config.schedule = .cosine(warmup: warmup, floor: 0.1)
        return
      }
      config.schedule = .cosine(warmup: warmup, floor: floor)
    case "inverseSquareRoot": config.schedule = .inverseSquareRoot(warmup: warmup)
    case "warmupStableDecay":
      guard case .warmupStableDecay(_, let decay) = config.schedule else {
        config.schedule = .warmupStableDecay(warmup: warmup, decay: 0.4)
        return
      }
      config.schedule = .warmupStableDecay(warmup: warmup, decay: decay)
    case let name:
      throw TrainingError.invalid(
        "there is no schedule \"\(name)\"; choose one of "
          + Schedule.kinds.joined(separator: ", "))
    }
  }

  private func set<T>(_ target: inout T, _ value: T?) {
    if let value { target = value }
  }

  /// Sets what nil stands for a value of; what says the same already stays as it is written.
  private func set<T: Equatable>(_ target: inout T?, _ value: T?, whereNil: T) {
    guard let value, value != target ?? whereNil else { return }
    target = value == whereNil ? nil : value
  }
}
