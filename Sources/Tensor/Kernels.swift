package import Deterministic

/// Every operation of the model but attention, one forward and backward pair each.
///
/// A back end implements it, and a protocol of its own for each attention it has. This file and its
/// neighbours are all that the rest of the program knows of a back end.
///
/// Gradients: `dx` is the gradient of `x` and has its shape. Gradients of parameters accumulate
/// (`+=`); gradients of activations overwrite (`=`) unless the comment says otherwise. Sequences
/// of a batch lie end to end: sequence `s` is the positions `starts[s]..<starts[s + 1]`.
package protocol Kernels: Device {
  // MARK: Embedding

  /// Looks rows up: `y[n] = table[ids[n]]`. `y [N, C]`, `table [V, C]`.
  func embeddingForward(y: View, ids: Indices, table: View)
  /// Scatters: `dTable[ids[n]] += dy[n]`.
  func embeddingBackward(dTable: View, dy: View, ids: Indices)

  // MARK: Linear

  /// `y (+)= x wᵀ`. `y [N, O]`, `x [N, I]`, `w [O, I]`.
  ///
  /// A row of `y` depends on its row of `x` and on `w` alone, bit for bit, whatever rows are
  /// computed with it: decoding equals the full forward pass and perplexity cannot depend on batch
  /// size.
  func linearForward(y: View, x: View, w: View, accumulate: Bool)
  /// `y = addend + x wᵀ`; a row has the bits that it has when a copy of `addend` is added to.
  func linearForward(y: View, x: View, w: View, adding addend: View)
  /// `dx (+)= dy w`; `accumulate` chooses `+=`. `dx [N, I]`, `dy [N, O]`, `w [O, I]`.
  func linearBackwardInput(dx: View, dy: View, w: View, accumulate: Bool)
  /// `dw += dyᵀ x`. `dw [O, I]`.
  func linearBackwardWeight(dw: View, dy: View, x: View)

  // MARK: Bias

  /// `x[n] += bias` for every row, in place. `x [N, O]`, `bias [1, O]`.
  func addBias(x: View, bias: View)
  /// `dBias += Σ_n dy[n]`, in the order of the shape. The gradient of `x` is `dy` itself.
  func addBiasBackward(dBias: View, dy: View)

  // MARK: Heads that share keys and values

  /// Repeats every head for its group of queries: head h of `y` is head `h / G` of `x`, `G` the columns
  /// of `y` over those of `x` (Ainslie et al., 2023, arXiv 2305.13245). `y [N, H·D]`, `x [N, H/G·D]`.
  func repeatHeads(y: View, x: View, headWidth: Int)
  /// `dx = …`: a head has the sum over its group, the first of them first.
  func repeatHeadsBackward(dx: View, dy: View, headWidth: Int)

  // MARK: RMSNorm

  /// `y = x · rstd · gain`, `rstd = 1 / sqrt(mean(x²) + epsilon)`. `rstd [1, N]`, `gain [1, C]`.
  func rmsNormForward(y: View, rstd: View, x: View, gain: View, epsilon: Float)
  /// `dx += …` (residual stream), `dGain += …`.
  func rmsNormBackward(dx: View, dGain: View, dy: View, x: View, gain: View, rstd: View)
  /// The same, and `copy = dx`, which may be of another type.
  func rmsNormBackward(
    dx: View, copy: View, dGain: View, dy: View, x: View, gain: View, rstd: View)

  // MARK: Rotary position (two-halves convention, as in Llama)

  /// Rotates every head of `x [N, H·D]` in place by the position of its row.
  ///
  /// - Parameters:
  ///   - x: `[N, H·D]`.
  ///   - positions: Position of each row inside its sequence, `[N]`.
  ///   - headWidth: Width of a head, D; even.
  ///   - theta: Base of the angles.
  ///   - inverse: Rotates back, which is the backward pass.
  func rotary(x: View, positions: Indices, headWidth: Int, theta: Double, inverse: Bool)

  // MARK: Sinusoidal position

  /// Adds sines and cosines of the position to every row, in place; it has no gradient of its own.
  ///
  /// - Parameters:
  ///   - x: `[N, C]`.
  ///   - positions: Position of each row inside its sequence, `[N]`.
  ///   - amplitude: Of every sine and cosine.
  func addSinusoidal(x: View, positions: Indices, amplitude: Double)

  // MARK: SwiGLU

  /// `y = silu(gate) · up`. `y [N, F]`, `gateUp [N, 2F]` with the gate in the first F columns.
  func swiGLUForward(y: View, gateUp: View)
  /// `dGateUp = …`, and `y` once more, as forward: the next product of the backward pass reads it.
  func swiGLUBackward(dGateUp: View, y: View, dy: View, gateUp: View)

  // MARK: Residual and dropout

  /// `x += y`.
  func residualAdd(x: View, y: View)
  /// Zeroes each element with the given probability and divides the rest by `1 - probability`, in
  /// place. Forward and backward are the same call.
  ///
  /// The mask is the same on every device. With k number `rowOffset + row` of `random`, low and high
  /// its two halves, the element of a column is zeroed if, in 32 bits without sign,
  ///
  ///     h = column · 0x9E3779B1 + low            a Weyl sequence, then
  ///     h = (h ^ h >> 16) · 0x85EBCA6B ^ high    the finaliser of MurmurHash3 (Appleby, 2011)
  ///     h = (h ^ h >> 13) · 0xC2B2AE35
  ///     h = (h ^ h >> 16) >> 8  <  round(2²⁴ · probability)
  func dropout(x: View, probability: Float, random: CounterRandom, rowOffset: Int)

  // MARK: Head, softmax and cross-entropy

  /// `nllNats[n] = -ln softmax(hidden wᵀ)[n, targets[n]]`, without ever holding `[N, V]`.
  /// `nllNats [1, N]`, `hidden [N, C]`, `w [V, C]`.
  func crossEntropyForward(nllNats: View, hidden: View, w: View, targets: Indices)
  /// Forward and backward in one pass: also `dHidden = …`, `dw += …`, both multiplied by
  /// `gradientScale` (1 / tokens of the whole step).
  func crossEntropyForwardBackward(
    nllNats: View, dHidden: View, dw: View, hidden: View, w: View, targets: Indices,
    gradientScale: Float)

  // MARK: Optimizer

  /// One step of AdamW (Loshchilov and Hutter, 2019, algorithm 2) over contiguous memory.
  ///
  ///     m = b1 m + (1-b1) g,  v = b2 v + (1-b2) g²
  ///     p -= rate · (m / (1-b1^t) / (sqrt(v / (1-b2^t)) + epsilon) + decay · p)
  ///
  /// - Parameters:
  ///   - parameters: The weights p.
  ///   - gradients: Their gradients g.
  ///   - firstMoment: Running mean m.
  ///   - secondMoment: Running mean of squares v.
  ///   - step: Rates and the number of the step.
  func adamW(
    parameters: View, gradients: View, firstMoment: View, secondMoment: View, _ step: AdamWStep)
  /// One step of Muon (Jordan et al., 2024) on contiguous matrices `[R, C]`.
  ///
  ///     m = b m + (1-b) g,  u = b m + (1-b) g
  ///     p = p · (1 - rate · decay) - rate · 0.2 · sqrt(max(R, C)) · orthogonal(u)
  ///
  /// Both forms of the step have one result but for rounding. A matrix has the same bits alone and among
  /// others.
  func muon(_ matrices: [MuonMatrix], _ step: MuonStep)
  /// Moves a running average over contiguous memory: `average += share · (x - average)`.
  ///
  /// - Parameters:
  ///   - average: What is moved.
  ///   - x: What it is moved towards, as long.
  ///   - share: How far, 0 to 1.
  func moveAverage(_ average: View, towards x: View, share: Float)
  /// One step on some rows of a table: AdaGrad (Duchi et al., 2011) with one number a row.
  ///
  ///     s[r] += mean(g[r]²)
  ///     p[r] -= rate · g[r] / sqrt(s[r])
  ///
  /// A row whose gradients have all been zero stays.
  ///
  /// - Parameters:
  ///   - table: The weights p, `[R, C]`.
  ///   - squares: The sums s, `[1, R]`.
  ///   - gradients: Those of the rows that are moved, `[U, C]`.
  ///   - rows: Which these are, each once, `[U]`.
  ///   - rate: Size of a first step.
  func moveRows(table: View, squares: View, gradients: View, rows: Indices, rate: Float)
  /// Sum of squares of contiguous elements, in Double, in the order of ``Squares``; waits for the
  /// device.
  func sumOfSquares(_ x: View) throws(DeviceError) -> Double
}

extension Kernels {
  package func linearForward(y: View, x: View, w: View, adding addend: View) {
    copy(addend, to: y)
    linearForward(y: y, x: x, w: w, accumulate: true)
  }

  package func rmsNormBackward(
    dx: View, copy: View, dGain: View, dy: View, x: View, gain: View, rstd: View
  ) {
    rmsNormBackward(dx: dx, dGain: dGain, dy: dy, x: x, gain: gain, rstd: rstd)
    self.copy(dx, to: copy)
  }
}

/// What a device of two types has beside: the backward pass reads what products read, so that nothing is
/// kept twice.
package protocol TwoTypeKernels: Kernels {
  /// As ``Kernels/rmsNormBackward(dx:dGain:dy:x:gain:rstd:)``, from the output in place of the input.
  ///
  /// - Parameters:
  ///   - dx: Gradient of the input, `[N, C]`.
  ///   - dGain: Gradient of the gain, added to, `[1, C]`.
  ///   - dy: Gradient of the output, `[N, C]`.
  ///   - y: What the forward pass made, `[N, C]`; where a gain is 0 its column counts as zeros.
  ///   - gain: `[1, C]`.
  ///   - rstd: `[1, N]`.
  ///   - accumulate: Whether `dx` is added to.
  func rmsNormBackward(
    dx: View, dGain: View, dy: View, y: View, gain: View, rstd: View, accumulate: Bool)
}

extension Kernels {
  /// Whether outputs of normalisations are kept for the backward pass, not their inputs.
  package var keepsNorms: Bool { hasTwoTypes && self is any TwoTypeKernels }
}

/// The numbers of one step of AdamW.
package struct AdamWStep: Sendable {
  /// Learning rate.
  package let rate: Float
  package let beta1: Float
  package let beta2: Float
  /// Added to the root.
  package let epsilon: Float
  /// Weight decay.
  package let decay: Float
  /// t, from 1 on.
  package let step: Int
  /// Multiplies every gradient first (clipping).
  package let gradientScale: Float

  package init(
    rate: Float, beta1: Float, beta2: Float, epsilon: Float, decay: Float, step: Int,
    gradientScale: Float
  ) {
    self.rate = rate
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.decay = decay
    self.step = step
    self.gradientScale = gradientScale
  }
}

/// A matrix that Muon moves, `[R, C]`.
package struct MuonMatrix: Sendable {
  package let parameters: View
  package let gradients: View
  package let momentum: View

  /// - Parameters:
  ///   - parameters: The weights p.
  ///   - gradients: Their gradients g.
  ///   - momentum: Their running mean m.
  package init(parameters: View, gradients: View, momentum: View) {
    let shapes = [parameters, gradients, momentum].map { [$0.rows, $0.columns] }
    precondition(
      shapes.allSatisfy { $0 == shapes[0] } && parameters.isContiguous && gradients.isContiguous
        && momentum.isContiguous, "Muon over weights, gradients and momentum of \(shapes)")
    self.parameters = parameters
    self.gradients = gradients
    self.momentum = momentum
  }

  package var rows: Int { parameters.rows }
  package var columns: Int { parameters.columns }
}

/// The numbers of one step of Muon.
package struct MuonStep: Sendable {
  /// Learning rate.
  package let rate: Float
  /// Share of the momentum that stays.
  package let beta: Float
  /// Weight decay.
  package let decay: Float
  /// Multiplies every gradient first (clipping).
  package let gradientScale: Float
  /// How the update is made orthogonal.
  package let form: MuonForm

  package init(
    rate: Float, beta: Float, decay: Float, gradientScale: Float, form: MuonForm = .standard
  ) {
    self.rate = rate
    self.beta = beta
    self.decay = decay
    self.gradientScale = gradientScale
    self.form = form
  }
}

/// How Muon's five Newton-Schulz steps are computed: the same polynomial, rounded differently.
package enum MuonForm: String, Codable, Sendable, CaseIterable {
  /// Every step multiplies the whole matrix.
  case standard
  /// The steps stay on the square of the short side, G = x xᵀ, and the matrix is multiplied once at the
  /// end (Dao-AILab's Gram Newton-Schulz, 2026). With p(G) = a I + b G + c G²,
  ///
  ///     Q = p(G) Q,  G = p(G) G p(G)       five times from Q = I,  then  x = Q x
  case gram
}
