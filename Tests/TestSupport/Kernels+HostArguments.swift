package import Tensor

// Kernels with whole numbers and rates as tests have them at hand, for devices that read host memory.

extension Kernels {
  package func embeddingForward(y: View, ids: [Int32], table: View) {
    embeddingForward(y: y, ids: Indices(ids), table: table)
  }

  package func embeddingBackward(dTable: View, dy: View, ids: [Int32]) {
    embeddingBackward(dTable: dTable, dy: dy, ids: Indices(ids))
  }

  package func rotary(
    x: View, positions: [Int32], headWidth: Int, theta: Double, inverse: Bool
  ) {
    rotary(
      x: x, positions: Indices(positions), headWidth: headWidth, theta: theta, inverse: inverse)
  }

  package func addSinusoidal(x: View, positions: [Int32], amplitude: Double) {
    addSinusoidal(x: x, positions: Indices(positions), amplitude: amplitude)
  }

  package func crossEntropyForward(nllNats: View, hidden: View, w: View, targets: [Int32]) {
    crossEntropyForward(nllNats: nllNats, hidden: hidden, w: w, targets: Indices(targets))
  }

  package func crossEntropyForwardBackward(
    nllNats: View, dHidden: View, dw: View, hidden: View, w: View, targets: [Int32],
    gradientScale: Float
  ) {
    crossEntropyForwardBackward(
      nllNats: nllNats, dHidden: dHidden, dw: dw, hidden: hidden, w: w,
      targets: Indices(targets), gradientScale: gradientScale)
  }

  package func adamW(
    parameters: View, gradients: View, firstMoment: View, secondMoment: View, rate: Float,
    beta1: Float, beta2: Float, epsilon: Float, decay: Float, step: Int, gradientScale: Float
  ) {
    adamW(
      parameters: parameters, gradients: gradients, firstMoment: firstMoment,
      secondMoment: secondMoment,
      AdamWStep(
        rate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon, decay: decay, step: step,
        gradientScale: gradientScale))
  }

  package func muon(
    parameters: View, gradients: View, momentum: View, rate: Float, beta: Float, decay: Float,
    gradientScale: Float, form: MuonForm = .standard
  ) {
    muon(
      [MuonMatrix(parameters: parameters, gradients: gradients, momentum: momentum)],
      MuonStep(
        rate: rate, beta: beta, decay: decay, gradientScale: gradientScale, form: form))
  }
}
