package import Model
package import Tensor

/// AdamW over all weights, or Muon over hidden matrices and AdamW over the rest: clipping, decay
/// groups and both moments.
///
/// Muon needs no second moment; that of its matrices stays zero.
package struct Optimizer {
  package let config: OptimizerConfig
  package let firstMoment: Parameters
  package let secondMoment: Parameters

  /// Moments of zero.
  ///
  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for them.
  package init(
    _ config: OptimizerConfig, model: ModelConfig, on device: any Device
  ) throws(DeviceError) {
    self.config = config
    firstMoment = try Parameters(model, on: device)
    secondMoment = try Parameters(model, on: device)
  }

  /// The Euclidean norm of a whole gradient.
  package static func norm(
    _ gradients: Parameters, kernels: any Kernels
  ) throws(DeviceError) -> Double {
    try kernels.sumOfSquares(gradients.all).squareRoot()
  }

  /// Whether a gradient of this norm leaves finite weights and moments.
  package func accepts(gradientNorm: Double) -> Bool {
    let clipped = config.clipNorm > 0 ? min(gradientNorm, config.clipNorm) : gradientNorm
    // The second moment holds squares in single precision, which end at 3.4e38. An infinite norm
    // clips to a number, its gradient does not.
    return gradientNorm.isFinite && clipped < 1e18
  }

  /// Moves the weights against the gradient.
  ///
  /// - Parameters:
  ///   - step: The step being taken, from 1.
  ///   - rate: Its learning rate.
  ///   - gradientNorm: Norm of `gradients`; where it passes `clipNorm` the gradient is scaled
  ///     down to it (Pascanu et al., 2013).
  package func update(
    _ parameters: Parameters, gradients: Parameters, step: Int, rate: Double,
    gradientNorm: Double, kernels: any Kernels
  ) {
    let clip = config.clipNorm > 0 ? min(1, config.clipNorm / max(gradientNorm, 1e-30)) : 1
    for slot in parameters.layout.slots {
      switch config.kind(of: slot) {
      case .muon:
        kernels.muon(
          parameters: parameters.view(slot), gradients: gradients.view(slot),
          momentum: firstMoment.view(slot),
          MuonStep(
            rate: Float(rate), beta: Float(config.momentum), decay: Float(config.weightDecay),
            gradientScale: Float(clip)))
      case .adamW:
        kernels.adamW(
          parameters: parameters.view(slot), gradients: gradients.view(slot),
          firstMoment: firstMoment.view(slot), secondMoment: secondMoment.view(slot),
          AdamWStep(
            rate: Float(rate), beta1: Float(config.beta1), beta2: Float(config.beta2),
            epsilon: Float(config.epsilon),
            decay: slot.role.decays ? Float(config.weightDecay) : 0, step: step,
            gradientScale: Float(clip)))
      }
    }
  }
}
