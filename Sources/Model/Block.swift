import Deterministic
import Tensor

/// Dropout of one pass: probability and the stream its masks come from.
package struct Dropout: Sendable {
  /// 0 turns it off.
  package var probability: Float
  package var seed: UInt64
  /// Optimizer step, so that every step draws new masks.
  package var step: Int
  /// Positions of the step that earlier micro-batches held: accumulated micro-batches get the
  /// masks that the whole batch would have.
  package var rowOffset: Int

  package init(probability: Float, seed: UInt64, step: Int, rowOffset: Int) {
    self.probability = probability
    self.seed = seed
    self.step = step
    self.rowOffset = rowOffset
  }

  /// The mask of one site; forward and backward call it alike.
  func apply(to x: View, layer: Int, site: UInt64, kernels: any Kernels) {
    guard probability > 0 else { return }
    kernels.dropout(
      x: x, probability: probability,
      random: CounterRandom(seed: seed, UInt64(step), UInt64(layer), site), rowOffset: rowOffset)
  }
}

/// The places in a layer where dropout acts.
enum DropoutSite {
  static let attention: UInt64 = 1
  static let feedForward: UInt64 = 2
  static let embedding: UInt64 = 3
}

/// One layer of the decoder on a batch of `N` positions, forward and backward.
///
///     middle = input + Wo attention(rotate(headnorm(Wqkv rmsnorm(input))))
///     output = middle + Wdown swiglu(Wgu rmsnorm(middle))
///
/// `headnorm` is there with `ModelConfig.qkNorm`, biases of `Wqkv` and `Wo` with `qkvBias` and
/// `outputBias`. Where heads share keys and values, these are made once for each group, normalised and
/// rotated, and repeated for the attention, which knows nothing of it; their gradients are summed over the
/// group.
struct Block {
  let config: ModelConfig
  let attention: any AttentionOperator
  /// Whether the attention reads the layer's input beside queries, keys and values.
  let readsInput: Bool
  /// Whether states take keys and values as groups share them.
  let streamsAreGrouped: Bool
  let kernels: any Kernels
  let index: Int
  let weights: LayerParameters
  /// Views cut to the N rows of this batch.
  let kept: Activations.Layer
  let output: View  // [N, C]
  let scratch: Scratch

  /// Views of the shared scratch memory, cut to N rows.
  struct Scratch {
    let product: View  // [N, F]
    let branch: View  // [N, C]
    let repeated: View  // [N, 2H·D]; nothing without groups
  }

  private var isRotary: Bool { config.position == .rotary }

  /// Queries, keys and values of a row, which stand side by side.
  private func parts(_ qkv: View) -> (q: View, k: View, v: View) {
    let (keys, values) = (config.attentionWidth, config.queryKeyWidth)
    return (
      qkv.columns(0..<keys), qkv.columns(keys..<values), qkv.columns(values..<config.qkvWidth)
    )
  }

  /// Keys and values, or their gradients, of a row; side by side.
  private func keysAndValues(_ qkv: View) -> View {
    qkv.columns(config.attentionWidth..<config.qkvWidth)
  }

  /// Repeated keys and values, or their gradients, of a row.
  private func repeatedParts(_ repeated: View) -> (k: View, v: View) {
    let width = config.attentionWidth
    return (repeated.columns(0..<width), repeated.columns(width..<2 * width))
  }

  /// What the attention is given.
  ///
  /// - Parameter isPass: Whether the attention may be asked to rotate queries and keys, and takes as many
  ///   keys as queries.
  private func tensors(isPass: Bool) -> AttentionTensors {
    var (q, k, v) = parts(kept.qkv)
    if config.isGrouped, isPass || !streamsAreGrouped {
      kernels.repeatHeads(
        y: scratch.repeated, x: keysAndValues(kept.qkv), headWidth: config.headWidth)
      (k, v) = repeatedParts(scratch.repeated)
    }
    return AttentionTensors(
      q: q, k: k, v: v, bias: weights.bias, o: kept.attended, saved: kept.saved,
      input: readsInput ? kept.inputNormed : nil, own: weights.own,
      rotaryTheta: isPass && attentionRotates && isRotary ? config.rotaryTheta : nil)
  }

  /// Whether a pass of the attention rotates queries and keys; keys of a group are rotated once, before
  /// they are repeated.
  private var attentionRotates: Bool { attention.rotates && !config.isGrouped }

  /// Rotates queries and keys, which stand side by side: `H + K` heads in one call.
  private func rotate(_ qkv: View, positions: Indices, inverse: Bool) {
    guard isRotary else { return }
    kernels.rotary(
      x: qkv.columns(0..<config.queryKeyWidth), positions: positions, headWidth: config.headWidth,
      theta: config.rotaryTheta, inverse: inverse)
  }

  /// Heads of queries and keys, which stand side by side, and the gain of each.
  private func normedHeads(
    _ weights: LayerParameters
  ) -> [(columns: Range<Int>, rstd: View, gain: View)] {
    guard let query = weights.queryNorm, let key = weights.keyNorm else { return [] }
    let (heads, width) = (config.heads, config.headWidth)
    return (0..<heads + config.keyValueHeads).map { head in
      (
        head * width..<(head + 1) * width, kept.headRstd.rows(head..<head + 1),
        head < heads ? query : key
      )
    }
  }

  /// Normalises every head of queries and keys in place; what they were is kept for the backward pass.
  private func normalizeHeads() {
    let heads = normedHeads(weights)
    if heads.isEmpty { return }
    let hasBackward = kept.rawQK.columns > 0
    if hasBackward { kernels.copy(kept.qkv.columns(0..<config.queryKeyWidth), to: kept.rawQK) }
    for head in heads {
      let normed = kept.qkv.columns(head.columns)
      kernels.rmsNormForward(
        y: normed, rstd: head.rstd, x: hasBackward ? kept.rawQK.columns(head.columns) : normed,
        gain: head.gain, epsilon: config.normEpsilon)
    }
  }

  /// Turns the gradient of normalised queries and keys into that of what was projected, in place.
  private func differentiateHeads(_ d: Activations.Gradients, _ dWeights: LayerParameters) {
    let heads = zip(normedHeads(weights), normedHeads(dWeights))
    guard weights.queryNorm != nil else { return }
    kernels.fill(d.rawQK, with: 0)
    for (head, dHead) in heads {
      kernels.rmsNormBackward(
        dx: d.rawQK.columns(head.columns), dGain: dHead.gain, dy: d.qkv.columns(head.columns),
        x: kept.rawQK.columns(head.columns), gain: head.gain, rstd: head.rstd)
    }
    kernels.copy(d.rawQK, to: d.qkv.columns(0..<config.queryKeyWidth))
  }

  func forward(_ pass: AttentionPass, dropout: Dropout?) {
    projectQKV(positions: pass.sequences.positions, rotates: !attentionRotates)
    attention.forward(tensors(isPass: true), pass)
    finish(dropout: dropout)
  }

  /// First part: queries, keys and values of every position.
  ///
  /// - Parameters:
  ///   - positions: Of every row in its sequence.
  ///   - rotates: Whether queries and keys are rotated here.
  func projectQKV(positions: Indices, rotates: Bool = true) {
    kernels.rmsNormForward(
      y: kept.inputNormed, rstd: kept.inputRstd, x: kept.input, gain: weights.inputNorm,
      epsilon: config.normEpsilon)
    kernels.linearForward(y: kept.qkv, x: kept.inputNormed, w: weights.qkv, accumulate: false)
    if let bias = weights.qkvBias { kernels.addBias(x: kept.qkv, bias: bias) }
    normalizeHeads()
    if rotates { rotate(kept.qkv, positions: positions, inverse: false) }
  }

  /// Attention of positions that continue streams.
  ///
  /// - Parameter states: One for every row, each another stream, or one for all, which follow one
  ///   another in its stream.
  func attend(_ states: [any AttentionState]) { attention.step(tensors(isPass: false), states) }

  /// Last part: output projection and feed-forward layer, each joining the residual stream.
  func finish(dropout: Dropout?) {
    join(
      kept.middle, from: kept.input, branch: kept.attended, weights: weights.output,
      bias: weights.outputBias, site: DropoutSite.attention, dropout: dropout)
    kernels.rmsNormForward(
      y: kept.middleNormed, rstd: kept.middleRstd, x: kept.middle, gain: weights.feedForwardNorm,
      epsilon: config.normEpsilon)
    kernels.linearForward(
      y: kept.gateUp, x: kept.middleNormed, w: weights.gateUp, accumulate: false)
    kernels.swiGLUForward(y: scratch.product, gateUp: kept.gateUp)
    join(
      output, from: kept.middle, branch: scratch.product, weights: weights.down,
      site: DropoutSite.feedForward, dropout: dropout)
  }

  /// `sum = residual + dropout(branch wᵀ + bias)`; the product adds onto the stream where it can.
  private func join(
    _ sum: View, from residual: View, branch: View, weights: View, bias: View? = nil,
    site: UInt64, dropout: Dropout?
  ) {
    let isInPlace = sum.offset == residual.offset && sum.buffer === residual.buffer
    guard let dropout, dropout.probability > 0 else {
      if isInPlace {
        kernels.linearForward(y: sum, x: branch, w: weights, accumulate: true)
      } else {
        kernels.linearForward(y: sum, x: branch, w: weights, adding: residual)
      }
      if let bias { kernels.addBias(x: sum, bias: bias) }
      return
    }
    if !isInPlace { kernels.copy(residual, to: sum) }
    kernels.linearForward(y: scratch.branch, x: branch, w: weights, accumulate: false)
    if let bias { kernels.addBias(x: scratch.branch, bias: bias) }
    dropout.apply(to: scratch.branch, layer: index, site: site, kernels: kernels)
    kernels.residualAdd(x: sum, y: scratch.branch)
  }

  /// Turns the gradient of the layer's output into that of its input, in place in `d.residual`,
  /// and adds to the gradients of its weights.
  func backward(
    d: Activations.Gradients, dWeights: LayerParameters, _ pass: AttentionPass, dropout: Dropout?
  ) {
    let dFeedForward = branchGradient(d, site: DropoutSite.feedForward, dropout: dropout)
    let dGateUp = d.gateUp ?? kept.gateUp
    kernels.linearBackwardInput(
      dx: d.product, dy: dFeedForward, w: weights.down, accumulate: false)
    kernels.swiGLUBackward(
      dGateUp: dGateUp, y: scratch.product, dy: d.product, gateUp: kept.gateUp)
    kernels.linearBackwardWeight(dw: dWeights.down, dy: dFeedForward, x: scratch.product)
    if !kernels.keepsNorms {
      kernels.rmsNormForward(
        y: kept.middleNormed, rstd: kept.middleRstd, x: kept.middle,
        gain: weights.feedForwardNorm, epsilon: config.normEpsilon)
    }
    kernels.linearBackwardWeight(dw: dWeights.gateUp, dy: dGateUp, x: kept.middleNormed)
    kernels.linearBackwardInput(dx: d.normed, dy: dGateUp, w: weights.gateUp, accumulate: false)
    d.joinNorm(
      on: kernels, dGain: dWeights.feedForwardNorm, x: kept.middle, normed: kept.middleNormed,
      gain: weights.feedForwardNorm, rstd: kept.middleRstd)

    let dAttention = branchGradient(d, site: DropoutSite.attention, dropout: dropout)
    kernels.linearBackwardWeight(dw: dWeights.output, dy: dAttention, x: kept.attended)
    if let dBias = dWeights.outputBias { kernels.addBiasBackward(dBias: dBias, dy: dAttention) }
    kernels.linearBackwardInput(
      dx: d.attended, dy: dAttention, w: weights.output, accumulate: false)
    if !kernels.keepsNorms {
      kernels.rmsNormForward(
        y: kept.inputNormed, rstd: kept.inputRstd, x: kept.input, gain: weights.inputNorm,
        epsilon: config.normEpsilon)
    }
    differentiateAttention(d, dWeights, pass)
    differentiateHeads(d, dWeights)
    if let dBias = dWeights.qkvBias { kernels.addBiasBackward(dBias: dBias, dy: d.qkv) }
    kernels.linearBackwardWeight(dw: dWeights.qkv, dy: d.qkv, x: kept.inputNormed)
    kernels.linearBackwardInput(
      dx: d.normed, dy: d.qkv, w: weights.qkv, accumulate: readsInput)
    d.joinNorm(
      on: kernels, dGain: dWeights.inputNorm, x: kept.input, normed: kept.inputNormed,
      gain: weights.inputNorm, rstd: kept.inputRstd)
  }

  /// Turns the gradient of what the attention puts out into those of queries, keys and values before the
  /// rotation, in `d.qkv`, and adds to those of the attention's own weights.
  private func differentiateAttention(
    _ d: Activations.Gradients, _ dWeights: LayerParameters, _ pass: AttentionPass
  ) {
    var (dq, dk, dv) = parts(d.qkv)
    if config.isGrouped { (dk, dv) = repeatedParts(d.repeated) }
    attention.backward(
      tensors(isPass: true),
      AttentionGradients(
        dO: d.attended, dq: dq, dk: dk, dv: dv, dBias: dWeights.bias,
        dInput: readsInput ? d.normed : nil, dOwn: dWeights.own),
      pass)
    if config.isGrouped {
      kernels.repeatHeadsBackward(
        dx: keysAndValues(d.qkv), dy: d.repeated, headWidth: config.headWidth)
    }
    if !attentionRotates { rotate(d.qkv, positions: pass.sequences.positions, inverse: true) }
  }

  /// The gradient that reaches a branch: that of the stream, through the branch's dropout mask.
  private func branchGradient(
    _ d: Activations.Gradients, site: UInt64, dropout: Dropout?
  ) -> View {
    guard let dropout, dropout.probability > 0 else { return d.undropped(on: kernels) }
    kernels.copy(d.residual, to: d.branch)
    dropout.apply(to: d.branch, layer: index, site: site, kernels: kernels)
    return d.branch
  }
}
