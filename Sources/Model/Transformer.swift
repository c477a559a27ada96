package import Tensor

/// The causal decoder: embedding, layers, norm, head; forward, backward and scoring.
///
/// Reads ids and targets of ragged sequences laid end to end, knows nothing of text. Activations
/// grow to the largest batch seen and are reused.
package final class Transformer {
  package let config: ModelConfig
  package let parameters: Parameters
  /// The weights as products read them: `parameters` itself, or a rounded copy.
  private let rounded: Parameters
  package let kernels: any Kernels
  let attention: any AttentionOperator
  private let readsInput: Bool
  private let streamsAreGrouped: Bool
  /// Embeddings and head where the vocabulary has clusters.
  private let adaptiveInput: AdaptiveInput?
  private let adaptiveHead: AdaptiveHead?
  /// Names the random numbers of scoring and decoding, for attentions that draw any.
  package var evaluationSeed: UInt64 = 0
  private var activations: Activations?
  /// Memory of the activations of scoring.
  private(set) var scoringMemory: ActivationMemory?
  /// The largest batch whose memory has been asked for; see ``planScoring(starts:purpose:advice:)``.
  var scoredPositions = 0
  private var trainingActivations: Activations?
  /// Memory of the training activations, in which scoring takes its turn.
  private(set) var trainingMemory: ActivationMemory?
  /// Memory of the training activations, whose contents nobody needs between two passes.
  package var idleMemory: Buffer? { trainingMemory?.master }

  /// - Parameters:
  ///   - config: Dimensions of the model.
  ///   - parameters: Filled weights of the same configuration, on the device of the kernels.
  ///   - kernels: Where it runs.
  ///   - attention: Given the configuration's attention, returns what stands in its place; tests put a
  ///     faulty one here.
  /// - Throws: `ModelError` if the configuration is no model, `DeviceError` if the device has no such
  ///   attention.
  package init(
    _ config: ModelConfig, parameters: Parameters, kernels: any Kernels,
    attention: (any AttentionOperator) -> any AttentionOperator = { $0 }
  ) throws {
    try config.validate()
    guard config.ngrams.count == parameters.ngrams?.tables.count ?? 0 else {
      throw ModelError.invalid(
        "the model has rows of n-grams, which are not read here; they are trained by lm-train and read by "
          + "lm-eval and lm-sample")
    }
    self.config = config
    self.parameters = parameters
    self.kernels = kernels
    let mechanism = config.mechanism
    readsInput = mechanism.readsInput
    streamsAreGrouped = mechanism.streamsAreGrouped
    rounded =
      kernels.hasTwoTypes
      ? try Parameters(config, on: kernels, for: .compute) : parameters
    adaptiveInput = config.clusters.map { [rounded] in
      AdaptiveInput(clusters: $0, kernels: kernels, parameters: parameters, rounded: rounded)
    }
    adaptiveHead = config.clusters.map { [rounded] in
      AdaptiveHead(clusters: $0, kernels: kernels, weights: rounded)
    }
    self.attention = attention(try mechanism.makeOperator(on: kernels))
    weightsChanged()
  }

  /// Takes note that `parameters` have other values; whoever moves them calls it before the next pass.
  package func weightsChanged() {
    if kernels.hasTwoTypes { kernels.copy(parameters.all, to: rounded.all) }
  }

  // MARK: Scoring

  /// The negative log-probability of every target, in nats, `[N]`.
  ///
  /// Where the device promises it, a position's figure depends on its own sequence up to it alone, bit
  /// for bit.
  ///
  /// - Parameters:
  ///   - ids: Inputs, `[N]`; each sequence begins with `<s>` or the token before its first target.
  ///   - targets: The tokens that follow, `[N]`.
  ///   - starts: First position of every sequence and, last, N.
  ///   - reading: Called with the hidden states behind them, `[N, C]`, which last until the next pass.
  package func nllNats(
    ids: [Int32], targets: [Int32], starts: [Int],
    reading: (View) throws(DeviceError) -> Void = { (_) throws(DeviceError) in }
  ) throws(DeviceError) -> [Float] {
    let hidden = try hiddenStates(ids: ids, starts: starts)
    let a = try reserve(ids.count)
    let nll = a.nllNats.columns(0..<ids.count)
    let numbers: [Float]
    if let adaptiveHead {
      numbers = try adaptiveHead.crossEntropy(
        nllNats: nll, hidden: hidden, targets: targets, gathered: a.branch, scratch: a.clusters
      ).numbers(on: kernels)
    } else {
      kernels.crossEntropyForward(
        nllNats: nll, hidden: hidden, w: rounded.head, targets: try kernels.place(targets))
      numbers = try kernels.numbers(of: nll)
    }
    try reading(hidden)
    return numbers
  }

  /// The logits of the next token at every position, `[N, V]` in memory of their own.
  package func logits(ids: [Int32], starts: [Int]) throws(DeviceError) -> View {
    let logits = try kernels.makeView(rows: ids.count, columns: config.vocabularySize)
    try project(try hiddenStates(ids: ids, starts: starts), into: logits)
    return logits
  }

  /// Head of hidden states `[N, C]` → logits `[N, V]`.
  func project(_ hidden: View, into logits: View) throws(DeviceError) {
    if let adaptiveHead { return try adaptiveHead.project(hidden, into: logits) }
    kernels.linearForward(y: logits, x: hidden, w: rounded.head, accumulate: false)
  }

  private func hiddenStates(ids: [Int32], starts: [Int]) throws(DeviceError) -> View {
    let a = try reserve(ids.count)
    let sequences = try Sequences(starts, on: kernels)
    let rows = try placedRows(config.ngrams.map { $0.rows(ids: ids, starts: starts) })
    let ids = try kernels.place(ids)
    try run(a, ids: ids, rows: rows, positions: sequences.positions, dropout: nil) { block in
      block.forward(
        AttentionPass(sequences, layer: block.index, draw: .evaluation(seed: evaluationSeed)),
        dropout: nil)
    }
    return normalised(a, rows: ids.count)
  }

  /// Hidden states of positions that continue streams, one row after the other.
  ///
  /// - Parameters:
  ///   - ids: Inputs, one a row.
  ///   - rows: Of every table of n-grams, the row of each.
  ///   - positions: Position of each row inside its stream.
  ///   - states: For every layer, the state of the stream each row belongs to; only one if all rows
  ///     continue one stream.
  func continued(
    ids: [Int32], rows: [[Int32]], positions: [Int32], states: [[any AttentionState]]
  ) throws(DeviceError) -> View {
    let a = try reserve(ids.count)
    let rows = try placedRows(rows)
    let (ids, positions) = (try kernels.place(ids), try kernels.place(positions))
    try run(a, ids: ids, rows: rows, positions: positions, dropout: nil, inBands: false) { block in
      block.projectQKV(positions: positions)
      block.attend(states[block.index])
      block.finish(dropout: nil)
    }
    return normalised(a, rows: ids.count)
  }

  // MARK: Training

  /// Forward and backward of one micro-batch; adds to `gradients`.
  ///
  /// - Parameters:
  ///   - ids: Inputs, `[N]`.
  ///   - targets: The tokens that follow, `[N]`.
  ///   - starts: First position of every sequence and, last, N.
  ///   - gradientScale: 1 / targets of the whole step, so that micro-batches add up to the mean.
  ///   - dropout: Masks of this step, or nil for none.
  ///   - draw: Names the random numbers of attentions that draw any.
  ///   - candidates: Tokens that the loss normalises over; nil for all.
  ///   - gradients: The gradient of every weight, accumulated.
  ///   - ngrams: The gradient of the rows of n-grams, accumulated; nil leaves it out.
  ///   - finished: Called with each of `ParameterLayout.stages`, the last one first, once nothing more is
  ///     added to its weights and those after them.
  /// - Returns: Sum of the targets' negative log-probabilities in nats, dropout included.
  package func accumulateGradients(
    ids: [Int32], targets: [Int32], starts: [Int], gradientScale: Float, dropout: Dropout?,
    draw: AttentionDraw = .evaluation(seed: 0), candidates: CandidateHead? = nil,
    into gradients: Parameters, ngrams: NgramGradients? = nil,
    finished: (_ stage: Int) -> Void = { _ in }
  ) throws(DeviceError) -> Double {
    let rows = ids.count
    let a = try reserveTraining(rows)
    guard let all = a.gradients else { preconditionFailure("activations without gradients") }
    let sequences = try Sequences(starts, on: kernels)
    let ngramRows = try placedRows(config.ngrams.map { $0.rows(ids: ids, starts: starts) })
    let ids = try kernels.place(ids)
    try run(
      a, ids: ids, rows: ngramRows, positions: sequences.positions, dropout: dropout
    ) { block in
      block.forward(
        AttentionPass(sequences, layer: block.index, draw: draw), dropout: dropout)
    }
    let hidden = normalised(a, rows: rows)
    let d = all.cut(rows)
    let nll = a.nllNats.columns(0..<rows)
    var nats: AdaptiveHead.Nats?
    if let adaptiveHead {
      nats = try adaptiveHead.crossEntropy(
        nllNats: nll, hidden: hidden, targets: targets, gathered: a.branch, scratch: a.clusters,
        backward: AdaptiveHead.Backward(
          dHidden: d.normed, gradients: gradients, scale: gradientScale))
    } else if let candidates {
      try candidates.crossEntropy(
        nllNats: nll, dHidden: d.normed, dHead: gradients.head, hidden: hidden, targets: targets,
        gradientScale: gradientScale)
    } else {
      kernels.crossEntropyForwardBackward(
        nllNats: nll, dHidden: d.normed, dw: gradients.head, hidden: hidden, w: rounded.head,
        targets: try kernels.place(targets), gradientScale: gradientScale)
    }
    d.joinNorm(
      on: kernels, dGain: gradients.finalNorm, x: a.output.rows(0..<rows), normed: hidden,
      gain: parameters.finalNorm, rstd: a.outputRstd.columns(0..<rows), isFirst: true)
    finished(config.layers + 1)
    for layer in (0..<config.layers).reversed() {
      block(a, layer, rows: rows).backward(
        d: d, dWeights: gradients.layers[layer],
        AttentionPass(sequences, layer: layer, draw: draw), dropout: dropout)
      finished(layer + 1)
    }
    dropout?.apply(to: d.residual, layer: 0, site: DropoutSite.embedding, kernels: kernels)
    if let adaptiveInput {
      try adaptiveInput.backward(
        dx: d.residual, ids: ids.numbers, into: gradients, sorted: a.branch.rows(0..<rows),
        scratch: a.clusters)
    } else {
      kernels.embeddingBackward(dTable: gradients.embedding, dy: d.residual, ids: ids)
    }
    try ngrams?.add(d.residual, rows: ngramRows, on: kernels)
    finished(0)
    let numbers =
      if let nats { try nats.numbers(on: kernels) } else { try kernels.numbers(of: nll) }
    return numbers.reduce(0) { $0 + Double($1) }
  }

  // MARK: Shared

  private func placedRows(_ rows: [[Int32]]) throws(DeviceError) -> [Indices] {
    var placed: [Indices] = []
    for rows in rows { placed.append(try kernels.place(rows)) }
    return placed
  }

  private func run(
    _ a: Activations, ids: Indices, rows ngramRows: [Indices], positions: Indices,
    dropout: Dropout?, inBands: Bool = true, _ body: (Block) -> Void
  ) throws(DeviceError) {
    let rows = ids.count
    let input = a.layers[0].input.rows(0..<rows)
    if let adaptiveInput {
      try adaptiveInput.forward(
        x: input, ids: ids.numbers, sorted: a.branch.rows(0..<rows), scratch: a.clusters)
    } else {
      kernels.embeddingForward(y: input, ids: ids, table: parameters.embedding)
    }
    parameters.ngrams?.add(
      to: input, rows: ngramRows, scratch: a.branch.rows(0..<rows), on: kernels)
    if config.position == .sinusoidal {
      kernels.addSinusoidal(
        x: input, positions: positions, amplitude: config.sinusoidAmplitude)
    }
    dropout?.apply(to: input, layer: 0, site: DropoutSite.embedding, kernels: kernels)
    for layer in 0..<config.layers { body(block(a, layer, rows: rows, inBands: inBands)) }
  }

  private func normalised(_ a: Activations, rows: Int) -> View {
    let hidden = a.normed.rows(0..<rows)
    kernels.rmsNormForward(
      y: hidden, rstd: a.outputRstd.columns(0..<rows), x: a.output.rows(0..<rows),
      gain: parameters.finalNorm, epsilon: config.normEpsilon)
    return hidden
  }

  /// - Parameter inBands: False for positions of many streams, each taken alone: a row is one token.
  private func block(
    _ a: Activations, _ layer: Int, rows: Int, inBands: Bool = true
  ) -> Block {
    let kept = a.layers[layer].cut(rows)
    let next = layer + 1 < config.layers ? a.layers[layer + 1].input : a.output
    let repeated = a.repeated.rows(0..<rows)
    return Block(
      config: config, attention: attention, readsInput: readsInput,
      streamsAreGrouped: streamsAreGrouped, kernels: kernels, index: layer,
      weights: parameters.layers[layer].matrices(rounded.layers[layer]),
      kept: inBands ? kept : kept.withoutBands,
      output: next.rows(0..<rows),
      scratch: Block.Scratch(
        product: a.product.rows(0..<rows), branch: a.branch.rows(0..<rows),
        repeated: inBands ? repeated : repeated.withoutBands))
  }

  private func reserve(_ rows: Int) throws(DeviceError) -> Activations {
    if let activations, activations.capacity >= rows { return activations }
    activations = nil
    scoringMemory = nil
    let size = Activations.size(config, positions: rows, training: false, on: kernels)
    // Nothing of a training step is needed after it, so scoring may write over it.
    let memory: ActivationMemory
    if let trainingMemory, trainingMemory.holds(size) {
      memory = trainingMemory
    } else {
      memory = try ActivationMemory(size, on: kernels)
    }
    let grown = Activations(config, positions: rows, training: false, in: memory, on: kernels)
    activations = grown
    scoringMemory = memory
    return grown
  }

  /// Allocates the training activations.
  ///
  /// - Parameters:
  ///   - positions: Positions of the largest batch.
  ///   - scoring: Positions scored at a time between steps, in the same memory.
  @discardableResult
  package func reserveTraining(
    _ positions: Int, scoring: Int = 0
  ) throws(DeviceError) -> Activations {
    if let trainingActivations, trainingActivations.capacity >= positions {
      return trainingActivations
    }
    // Both go before the new ones come, or the old memory would stay.
    trainingActivations = nil
    activations = nil
    scoringMemory = nil
    trainingMemory = nil
    let memory = try ActivationMemory(
      Self.activationSize(config, training: positions, scoring: scoring, on: kernels),
      on: kernels)
    let grown = Activations(
      config, positions: positions, training: true, in: memory, on: kernels)
    trainingMemory = memory
    trainingActivations = grown
    return grown
  }
}

extension Activations.Layer {
  /// The first `rows` positions of every view.
  func cut(_ rows: Int) -> Self {
    Self(
      input: input.rows(0..<rows), inputRstd: inputRstd.columns(0..<rows),
      inputNormed: inputNormed.rows(0..<rows),
      qkv: qkv.rows(0..<rows), rawQK: rawQK.rows(0..<rows),
      headRstd: headRstd.columns(0..<rows), attended: attended.rows(0..<rows),
      saved: saved.columns(0..<rows),
      middle: middle.rows(0..<rows), middleRstd: middleRstd.columns(0..<rows),
      middleNormed: middleNormed.rows(0..<rows),
      gateUp: gateUp.rows(0..<rows))
  }

  /// The same memory, row behind row.
  var withoutBands: Self {
    Self(
      input: input, inputRstd: inputRstd, inputNormed: inputNormed, qkv: qkv.withoutBands,
      rawQK: rawQK.withoutBands, headRstd: headRstd, attended: attended.withoutBands,
      saved: saved, middle: middle, middleRstd: middleRstd, middleNormed: middleNormed,
      gateUp: gateUp)
  }
}

extension Activations.Gradients {
  /// The gradient of a normalised input joins that of the stream, or is the first of it.
  func joinNorm(
    on kernels: any Kernels, dGain: View, x: View, normed y: View, gain: View, rstd: View,
    isFirst: Bool = false
  ) {
    if kernels.keepsNorms, let kernels = kernels as? any TwoTypeKernels {
      return kernels.rmsNormBackward(
        dx: residual, dGain: dGain, dy: normed, y: y, gain: gain, rstd: rstd,
        accumulate: !isFirst)
    }
    if isFirst { kernels.fill(residual, with: 0) }
    if kernels.hasTwoTypes {
      kernels.rmsNormBackward(
        dx: residual, copy: branch, dGain: dGain, dy: normed, x: x, gain: gain, rstd: rstd)
    } else {
      kernels.rmsNormBackward(
        dx: residual, dGain: dGain, dy: normed, x: x, gain: gain, rstd: rstd)
    }
  }

  /// The gradient of the stream as products read it; where products read another type than the stream's, the
  /// step before has rounded it.
  func undropped(on kernels: any Kernels) -> View {
    kernels.hasTwoTypes && !kernels.keepsNorms ? branch : residual
  }

  /// The first `rows` positions of every view.
  func cut(_ rows: Int) -> Self {
    Self(
      residual: residual.rows(0..<rows), normed: normed.rows(0..<rows),
      branch: branch.rows(0..<rows), attended: attended.rows(0..<rows), qkv: qkv.rows(0..<rows),
      rawQK: rawQK.rows(0..<rows), repeated: repeated.rows(0..<rows),
      product: product.rows(0..<rows), gateUp: gateUp?.rows(0..<rows))
  }
}
