import LMData
import Model
import Train

/// The work of a run by its lines of metrics, in FLOPs.
///
/// It is that of `Cost`, which `lm-train --dry-run` tells: matrix products and attention, forward and backward,
/// at the mean length of the sentences of each shard. The lengths are those of the data set, which may be gone.
struct RunWork: Sendable {
  /// Whether the lengths are known; without them every token counts as a sequence of its own, which leaves
  /// out what grows with the length.
  let knowsLengths: Bool
  private let full: Double
  private let sampled: Double
  /// Tokens seen when the loss began to be over the whole vocabulary; nil if it always was, or is not yet.
  private let fullFrom: Int?
  private let isSampled: Bool

  /// - Parameters:
  ///   - run: The run.
  ///   - manifest: Of its data set, if that is there.
  init(_ run: RunRecord, manifest: Manifest?) {
    let config = run.config
    knowsLengths = manifest != nil || config.data.streamLength != nil
    let forecast =
      manifest.map { StepForecast(config, manifest: $0) }
      ?? StepForecast(
        steps: 1, lengths: [config.data.streamLength ?? 1], budget: config.batchTokens)
    func perToken(_ rows: Int?) -> Double {
      Cost(config.model).work(forecast.sequences, headRows: rows).training
        / max(1, forecast.tokens)
    }
    full = perToken(nil)
    sampled = config.sampledSoftmax.map { perToken($0.candidates) } ?? full
    isSampled = config.sampledSoftmax != nil
    // The last line of the sampled loss ends where the whole one begins, but for what was not logged.
    let before = run.training.last { config.candidates(step: $0.step) != nil }
    let isOver = run.training.contains { config.candidates(step: $0.step) == nil }
    fullFrom = isSampled && isOver ? before?.tokens ?? 0 : nil
  }

  /// FLOPs up to a line.
  func flops(_ line: Metrics) -> Double {
    guard isSampled else { return full * Double(line.tokens) }
    let sampledTokens = min(line.tokens, fullFrom ?? line.tokens)
    return sampled * Double(sampledTokens) + full * Double(line.tokens - sampledTokens)
  }
}

extension HorizontalAxis {
  /// Work of training.
  ///
  /// - Parameters:
  ///   - most: The largest value that is drawn, which decides the unit.
  ///   - work: Of the run whose lines are drawn.
  static func flops(most: Double, _ work: RunWork) -> HorizontalAxis {
    let units = [(1e18, "EFLOP"), (1e15, "PFLOP"), (1e12, "TFLOP"), (1e9, "GFLOP")]
    let (unit, label) = units.first { most >= 2 * $0.0 } ?? (1e6, "MFLOP")
    return HorizontalAxis(name: "work", label: "\(label) of training") { work.flops($0) / unit }
  }
}
