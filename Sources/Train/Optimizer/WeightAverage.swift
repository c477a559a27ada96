import Model
import Tensor

/// The exponential moving average of the weights that this rank moves.
///
/// After the t-th step that was taken the average moves by 1 - d towards the weights, with
///
///     d = min(decay, (1 + t) / (10 + t))
///
/// so that the first weights do not weigh on a short run (`ExponentialMovingAverage` of TensorFlow with
/// `num_updates`).
struct WeightAverage {
  private let decay: Double
  private let model: ModelConfig
  private let device: any Device
  private let average: Moments
  /// Brings the parts of all ranks together; nil for one rank.
  private let sum: GradientSum?

  /// Zeroed memory.
  ///
  /// - Parameters:
  ///   - decay: What the decay comes to.
  ///   - model: Whose weights they are.
  ///   - device: Where they lie.
  ///   - sum: What deals them to several ranks; nil for one.
  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for it.
  init(
    decay: Double, model: ModelConfig, on device: any Device, sharedBy sum: GradientSum?
  ) throws(DeviceError) {
    self.decay = decay
    self.model = model
    self.device = device
    self.sum = sum
    average = try Moments(sum?.owned ?? [0..<ParameterLayout(model).count], on: device)
  }

  /// Sets the average to these weights.
  func begin(at parameters: Parameters) { average.take(from: parameters.all, on: device) }

  /// Moves the average after a step.
  ///
  /// - Parameters:
  ///   - parameters: The weights after it.
  ///   - taken: Steps taken, from 1.
  ///   - kernels: Where both lie.
  func follow(_ parameters: Parameters, taken: Int, kernels: any Kernels) {
    let share = 1 - min(decay, Double(1 + taken) / Double(10 + taken))
    for (range, part) in average.parts(of: 0..<parameters.all.count) {
      kernels.moveAverage(
        part, towards: parameters.all.part(range.lowerBound, count: range.count),
        share: Float(share))
    }
  }

  /// Writes the whole average over other weights; every rank calls it.
  func copy(to parameters: Parameters) throws {
    average.copy(into: parameters.all, on: device)
    try sum?.gather(parameters.all)
  }

  /// Numbers of the average that a rank has.
  static func numbers(_ config: RunConfig, ranks: Int, rank: Int) -> [Int] {
    config.averageDecay == nil
      ? [] : [Optimizer.numbers(config, ranks: ranks, rank: rank)[0]]
  }
}

// MARK: Checkpoints

extension WeightAverage {
  /// The average as a checkpoint has it, whole.
  ///
  /// - Parameter scratch: Takes it where ranks have parts, as large as all weights.
  func whole(_ scratch: Parameters) -> Parameters {
    sum == nil ? average.whole(model, on: device) : scratch
  }

  /// Brings the average together on rank 0; every rank calls it.
  func collect(into scratch: Parameters) throws {
    guard let sum else { return }
    average.copy(into: scratch.all, on: device)
    try sum.gather(scratch.all, to: 0)
  }

  /// Takes this rank's part of an average that was read.
  func take(from scratch: Parameters) {
    guard sum != nil else { return }
    average.take(from: scratch.all, on: device)
  }
}
