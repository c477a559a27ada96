package import Model
package import Tensor

/// AdamW over all weights, or Muon over hidden matrices and AdamW over the rest: clipping, decay
/// groups and both moments, of the weights that this rank moves.
///
/// Muon needs no second moment; that of its matrices stays zero.
package struct Optimizer {
  package let config: OptimizerConfig
  private let model: ModelConfig
  private let device: any Device
  private let moments: (first: Moments, second: Moments)
  /// Brings the parts of all ranks together; nil for one rank.
  private let sum: GradientSum?

  /// Moments of zero.
  ///
  /// - Parameters:
  ///   - config: What moves the weights.
  ///   - model: Whose they are.
  ///   - device: Where they lie.
  ///   - sum: What deals them to several ranks; nil for one.
  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for them.
  package init(
    _ config: OptimizerConfig, model: ModelConfig, on device: any Device,
    sharedBy sum: GradientSum? = nil
  ) throws(DeviceError) {
    self.config = config
    self.model = model
    self.device = device
    self.sum = sum
    let owned = sum?.owned ?? [0..<ParameterLayout(model).count]
    moments = (try Moments(owned, on: device), try Moments(owned, on: device))
  }

  /// The Euclidean norm of a whole gradient.
  package static func norm(
    _ gradients: Parameters, kernels: any Kernels
  ) throws(DeviceError) -> Double {
    try kernels.sumOfSquares(gradients.all).squareRoot()
  }

  /// Whether a gradient of this norm leaves finite weights and moments.
  package func accepts(gradientNorm: Double) -> Bool {
    // Rows of n-grams move with their gradients as they are.
    let isClipped = config.clipNorm > 0 && model.ngrams.isEmpty
    let clipped = isClipped ? min(gradientNorm, config.clipNorm) : gradientNorm
    // The second moment holds squares in single precision, which end at 3.4e38. An infinite norm
    // clips to a number, its gradient does not.
    return gradientNorm.isFinite && clipped < 1e18
  }

  /// Moves the weights against the gradient.
  ///
  /// - Parameters:
  ///   - step: The step being taken, from 1.
  ///   - rate: Its learning rate; embeddings and matrices may have their own in proportion to it.
  ///   - gradientNorm: Norm of `gradients`; where it passes `clipNorm` the gradient is scaled
  ///     down to it (Pascanu et al., 2013).
  package func update(
    _ parameters: Parameters, gradients: Parameters, step: Int, rate: Double,
    gradientNorm: Double, kernels: any Kernels
  ) {
    let clip = config.clipNorm > 0 ? min(1, config.clipNorm / max(gradientNorm, 1e-30)) : 1
    // Muon's matrices, all of one rate, are moved together: they need not wait for each other.
    var matrices: [MuonMatrix] = []
    var matrixRate: Float = 0
    for slot in parameters.layout.slots where !config.freezes(slot) {
      let range = slot.offset..<slot.offset + slot.count
      let rate = Float(config.rate(of: slot, where: rate))
      for ((part, first), (_, second)) in zip(
        moments.first.parts(of: range), moments.second.parts(of: range))
      {
        switch config.kind(of: slot) {
        case .muon:
          precondition(part == range, "a part of \(slot.name)")
          matrixRate = rate
          matrices.append(
            MuonMatrix(
              parameters: parameters.view(slot), gradients: gradients.view(slot),
              momentum: View(
                first.buffer, offset: first.offset, rows: slot.rows, columns: slot.columns)))
        case .adamW:
          kernels.adamW(
            parameters: parameters.all.part(part.lowerBound, count: part.count),
            gradients: gradients.all.part(part.lowerBound, count: part.count),
            firstMoment: first, secondMoment: second,
            AdamWStep(
              rate: rate, beta1: Float(config.beta1), beta2: Float(config.beta2),
              epsilon: Float(config.epsilon),
              decay: slot.role.decays ? Float(config.weightDecay) : 0, step: step,
              gradientScale: Float(clip)))
        }
      }
    }
    guard !matrices.isEmpty else { return }
    kernels.muon(
      matrices,
      MuonStep(
        rate: matrixRate, beta: Float(config.momentum), decay: Float(config.weightDecay),
        gradientScale: Float(clip), form: config.muonForm ?? .standard))
  }
}

// MARK: Checkpoints

extension Optimizer {
  /// Both moments as a checkpoint has them, whole.
  ///
  /// - Parameter scratch: Takes one after the other where ranks have parts, as large as all weights.
  func groups(_ scratch: Parameters) -> [(prefix: String, parameters: Parameters)] {
    let names = ["first_moment.", "second_moment."]
    return zip(names, [moments.first, moments.second]).map { name, moments in
      (name, sum == nil ? moments.whole(model, on: device) : scratch)
    }
  }

  /// Brings a moment together on rank 0; every rank calls it, for one after the other.
  ///
  /// - Parameters:
  ///   - index: 0 or 1.
  ///   - scratch: Takes it.
  func collect(_ index: Int, into scratch: Parameters) throws {
    guard let sum else { return }
    (index == 0 ? moments.first : moments.second).copy(into: scratch.all, on: device)
    try sum.gather(scratch.all, to: 0)
  }

  /// Takes this rank's part of a moment that was read.
  func take(_ index: Int, from scratch: Parameters) {
    guard sum != nil else { return }
    (index == 0 ? moments.first : moments.second).take(from: scratch.all, on: device)
  }

  /// Numbers of both moments that a rank has.
  static func numbers(_ config: RunConfig, ranks: Int, rank: Int) -> [Int] {
    let own =
      ranks == 1
      ? ParameterLayout(config.model).count : config.partition(ranks: ranks).count(of: rank)
    return [own, own]
  }
}
