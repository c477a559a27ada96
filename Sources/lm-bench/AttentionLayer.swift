import CommandSupport
import Model
import Tensor

/// One attention with random tensors.
struct AttentionLayer {
  private let config: AttentionConfig
  private let trial: AttentionTrial
  private let work: AttentionWork
  private let clock: BenchClock

  private let lengths: [Int]
  /// Whether work is done after it was asked for.
  private let isDevice: Bool

  init(
    _ config: AttentionConfig, on kernels: any Kernels, heads: Int, headWidth: Int, lengths: [Int],
    clock: BenchClock
  ) throws {
    self.config = config
    self.clock = clock
    self.lengths = lengths
    isDevice = kernels.freeBytes != nil
    let model = ModelConfig(oneLayerOf: config, heads: heads, headWidth: headWidth)
    trial = try AttentionTrial(model, on: kernels, lengths: lengths)
    work = lengths.reduce(into: AttentionWork(forward: 0, training: 0)) { sum, length in
      let work = model.mechanism.work(length: length)
      sum.forward += work.forward
      sum.training += work.training
    }
  }

  /// Seconds of a forward pass, and of it and a backward pass.
  ///
  /// Short sequences are repeated, after a pass that finds others' tensors in the caches and does
  /// not count.
  func timed() throws -> (forward: Double, training: Double) {
    if isDevice { return try timedOnDevice() }
    let repeats = max(1, 2_048 / trial.length)
    var forward = 0.0
    var training = 0.0
    let warmup = repeats > 1 ? 1 : 0
    for step in 0..<repeats + warmup {
      let began = clock.now()
      trial.forward(step: step)
      let middle = clock.now()
      trial.backward(step: step)
      guard step >= warmup else { continue }
      forward += middle - began
      training += clock.now() - began
    }
    return (forward / Double(repeats), training / Double(repeats))
  }

  /// The same where waiting takes as long as a short pass: several follow one another.
  private func timedOnDevice() throws -> (forward: Double, training: Double) {
    let repeats = max(1, min(10, (1 << 20) / trial.length))
    func seconds(_ body: (Int) -> Void) throws -> Double {
      try trial.wait()
      let began = clock.now()
      for step in 1...repeats { body(step) }
      try trial.wait()
      return (clock.now() - began) / Double(repeats)
    }
    let forward = try seconds { trial.forward(step: $0) }
    let training = try seconds {
      trial.forward(step: $0)
      trial.backward(step: $0)
    }
    return (forward, training)
  }

  /// Seconds of one step at the end of the sequence, and the bytes of the stream there.
  func decode() throws -> (seconds: Double, bytes: Int) {
    let state = try trial.makeState()
    let past = trial.length - min(trial.length, 64)
    for position in 0..<past { trial.step(try trial.row(position), state) }
    let timed = try (past..<trial.length).map { try trial.row($0) }
    let began = clock.now()
    for row in timed { trial.step(row, state) }
    try trial.wait()
    return ((clock.now() - began) / Double(timed.count), state.bytes)
  }

  func figures(
    forward: Double, training: Double, decoded: (seconds: Double, bytes: Int)?, peak: Double
  ) -> AttentionFigures {
    let positions = Double(trial.length)
    return AttentionFigures(
      attention: "\(config)", length: trial.length,
      sequenceLengths: lengths.count > 1 ? lengths : nil,
      forwardMicroseconds: forward / positions * 1e6,
      trainingMicroseconds: training / positions * 1e6, forwardFlops: work.forward / positions,
      trainingFlops: work.training / positions,
      trainingPeakFraction: work.training / training / peak, peakFlopsPerSecond: peak,
      decodeMicroseconds: decoded.map { $0.seconds * 1e6 }, stateBytes: decoded?.bytes)
  }
}

extension ModelConfig {
  /// The smallest model around one layer of an attention.
  init(oneLayerOf attention: AttentionConfig, heads: Int, headWidth: Int) {
    self.init(
      vocabularySize: 16, width: heads * headWidth, layers: 1, heads: heads,
      hidden: heads * headWidth)
    use(attention)
  }
}
