import CPUBackend
package import Deterministic
import Synchronization
package import Tensor

/// The kernels, and beside them a count of the multiplications and additions of all matrix products.
package final class CountingKernels: Kernels, SoftmaxAttentionKernels {
  private let kernels = CPUKernels()
  private let counted = Atomic<Int>(0)

  package init() {}

  /// Floating-point operations of matrix products so far; attention is not among them.
  package var flops: Int { counted.load(ordering: .relaxed) }

  private func count(_ times: Int, _ rows: Int, _ w: View) {
    counted.wrappingAdd(2 * times * rows * w.rows * w.columns, ordering: .relaxed)
  }

  // MARK: Counted

  package func linearForward(y: View, x: View, w: View, accumulate: Bool) {
    count(1, x.rows, w)
    kernels.linearForward(y: y, x: x, w: w, accumulate: accumulate)
  }

  package func linearBackwardInput(dx: View, dy: View, w: View, accumulate: Bool) {
    count(1, dy.rows, w)
    kernels.linearBackwardInput(dx: dx, dy: dy, w: w, accumulate: accumulate)
  }

  package func linearBackwardWeight(dw: View, dy: View, x: View) {
    count(1, dy.rows, dw)
    kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
  }

  package func crossEntropyForward(nllNats: View, hidden: View, w: View, targets: [Int32]) {
    count(1, hidden.rows, w)
    kernels.crossEntropyForward(nllNats: nllNats, hidden: hidden, w: w, targets: targets)
  }

  package func crossEntropyForwardBackward(
    nllNats: View, dHidden: View, dw: View, hidden: View, w: View, targets: [Int32],
    gradientScale: Float
  ) {
    count(3, hidden.rows, w)
    kernels.crossEntropyForwardBackward(
      nllNats: nllNats, dHidden: dHidden, dw: dw, hidden: hidden, w: w, targets: targets,
      gradientScale: gradientScale)
  }

  // MARK: Passed on

  package func embeddingForward(y: View, ids: [Int32], table: View) {
    kernels.embeddingForward(y: y, ids: ids, table: table)
  }

  package func embeddingBackward(dTable: View, dy: View, ids: [Int32]) {
    kernels.embeddingBackward(dTable: dTable, dy: dy, ids: ids)
  }

  package func rmsNormForward(y: View, rstd: View, x: View, gain: View, epsilon: Float) {
    kernels.rmsNormForward(y: y, rstd: rstd, x: x, gain: gain, epsilon: epsilon)
  }

  package func rmsNormBackward(
    dx: View, dGain: View, dy: View, x: View, gain: View, rstd: View
  ) {
    kernels.rmsNormBackward(dx: dx, dGain: dGain, dy: dy, x: x, gain: gain, rstd: rstd)
  }

  package func rotary(
    x: View, positions: [Int32], headWidth: Int, theta: Double, inverse: Bool
  ) {
    kernels.rotary(
      x: x, positions: positions, headWidth: headWidth, theta: theta, inverse: inverse)
  }

  package func addSinusoidal(x: View, positions: [Int32], amplitude: Double) {
    kernels.addSinusoidal(x: x, positions: positions, amplitude: amplitude)
  }

  package func swiGLUForward(y: View, gateUp: View) {
    kernels.swiGLUForward(y: y, gateUp: gateUp)
  }

  package func swiGLUBackward(dGateUp: View, y: View, dy: View, gateUp: View) {
    kernels.swiGLUBackward(dGateUp: dGateUp, y: y, dy: dy, gateUp: gateUp)
  }

  package func residualAdd(x: View, y: View) { kernels.residualAdd(x: x, y: y) }

  package func dropout(x: View, probability: Float, random: CounterRandom, rowOffset: Int) {
    kernels.dropout(x: x, probability: probability, random: random, rowOffset: rowOffset)
  }

  package func adamW(
    parameters: View, gradients: View, firstMoment: View, secondMoment: View, rate: Float,
    beta1: Float, beta2: Float, epsilon: Float, decay: Float, step: Int, gradientScale: Float
  ) {
    kernels.adamW(
      parameters: parameters, gradients: gradients, firstMoment: firstMoment,
      secondMoment: secondMoment, rate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon,
      decay: decay, step: step, gradientScale: gradientScale)
  }

  package func muon(
    parameters: View, gradients: View, momentum: View, rate: Float, beta: Float, decay: Float,
    gradientScale: Float
  ) {
    kernels.muon(
      parameters: parameters, gradients: gradients, momentum: momentum, rate: rate, beta: beta,
      decay: decay, gradientScale: gradientScale)
  }

  package func sumOfSquares(_ x: View) -> Double { kernels.sumOfSquares(x) }

  package func softmaxAttentionForward(
    o: View, lse: View, q: View, k: View, v: View, bias: View?, starts: [Int], heads: Int,
    scale: Float
  ) {
    kernels.softmaxAttentionForward(
      o: o, lse: lse, q: q, k: k, v: v, bias: bias, starts: starts, heads: heads, scale: scale)
  }

  package func softmaxAttentionBackward(
    dq: View, dk: View, dv: View, dBias: View?, dO: View, o: View, lse: View, q: View, k: View,
    v: View, bias: View?, starts: [Int], heads: Int, scale: Float
  ) {
    kernels.softmaxAttentionBackward(
      dq: dq, dk: dk, dv: dv, dBias: dBias, dO: dO, o: o, lse: lse, q: q, k: k, v: v, bias: bias,
      starts: starts, heads: heads, scale: scale)
  }

  package func softmaxAttentionDecode(
    o: View, q: View, keys: View, values: View, bias: View?, length: Int, heads: Int,
    scale: Float
  ) {
    kernels.softmaxAttentionDecode(
      o: o, q: q, keys: keys, values: values, bias: bias, length: length, heads: heads,
      scale: scale)
  }
}
