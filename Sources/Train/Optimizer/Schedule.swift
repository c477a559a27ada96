import Foundation

/// Step → learning rate.
package enum Schedule: Sendable, Equatable {
  /// Linear warm-up, then half a cosine down to `floor` times the peak at the last step.
  case cosine(warmup: Int, floor: Double)
  /// Linear warm-up, then the peak times sqrt(warmup / step) (Vaswani et al., 2017, eq. 3).
  case inverseSquareRoot(warmup: Int)
  /// Linear warm-up, the peak, then a linear decay to 0 over the last `decay` of the run (Hägele
  /// et al., 2024, arXiv 2405.18392).
  case warmupStableDecay(warmup: Int, decay: Double)

  /// The names `--schedule` takes.
  package static let kinds = ["cosine", "inverseSquareRoot", "warmupStableDecay"]

  /// Name of the case.
  package var kind: String {
    switch self {
    case .cosine: "cosine"
    case .inverseSquareRoot: "inverseSquareRoot"
    case .warmupStableDecay: "warmupStableDecay"
    }
  }

  /// Warm-up in steps.
  package var warmup: Int {
    switch self {
    case .cosine(let warmup, _), .inverseSquareRoot(let warmup), .warmupStableDecay(let warmup, _):
      warmup
    }
  }

  /// Share of the run that the decay at its end takes; nil where there is none.
  package var decayShare: Double? {
    if case .warmupStableDecay(_, let decay) = self { decay } else { nil }
  }

  /// The learning rate of one step.
  ///
  /// - Parameters:
  ///   - step: The step about to be taken, from 1.
  ///   - steps: Steps of the whole run.
  ///   - peak: The rate at the end of the warm-up.
  package func rate(step: Int, of steps: Int, peak: Double) -> Double {
    if step < warmup { return peak * Double(step) / Double(warmup) }
    switch self {
    case .cosine(_, let floor):
      let progress = Double(step - warmup) / Double(max(1, steps - warmup))
      return peak * (floor + (1 - floor) * 0.5 * (1 + cos(Double.pi * min(1, progress))))
    case .inverseSquareRoot:
      return peak * (Double(max(1, warmup)) / Double(max(1, step))).squareRoot()
    case .warmupStableDecay(_, let decay):
      let tail = decay * Double(steps)
      // The last step keeps one part of the tail, so that it still moves.
      let left = Double(steps - step + 1) / max(1, tail)
      return peak * min(1, left)
    }
  }

  /// Throws if the parameters make no schedule.
  package func validate() throws(TrainingError) {
    guard warmup >= 0 else { throw .invalid("the warm-up is \(warmup) steps, expected 0 or more") }
    switch self {
    case .cosine(_, let floor) where !(0...1).contains(floor):
      throw .invalid("the floor of the cosine schedule is \(floor), expected 0 to 1")
    case .warmupStableDecay(_, let decay) where !(0...1).contains(decay):
      throw .invalid("the decay of the schedule is \(decay) of the run, expected 0 to 1")
    default: break
    }
  }
}

extension Schedule: Codable {
  private enum Key: String, CodingKey { case kind, warmup, floor, decay }

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(kind, forKey: .kind)
    try fields.encode(warmup, forKey: .warmup)
    switch self {
    case .cosine(_, let floor): try fields.encode(floor, forKey: .floor)
    case .warmupStableDecay(_, let decay): try fields.encode(decay, forKey: .decay)
    case .inverseSquareRoot: break
    }
  }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let kind = try fields.decode(String.self, forKey: .kind)
    let warmup = try fields.decode(Int.self, forKey: .warmup)
    switch kind {
    case "cosine":
      self = .cosine(
        warmup: warmup, floor: try fields.decodeIfPresent(Double.self, forKey: .floor) ?? 0.1)
    case "inverseSquareRoot": self = .inverseSquareRoot(warmup: warmup)
    case "warmupStableDecay":
      self = .warmupStableDecay(
        warmup: warmup, decay: try fields.decodeIfPresent(Double.self, forKey: .decay) ?? 0.4)
    default:
      throw TrainingError.invalid(
        "schedule kind is \"\(kind)\", expected one of \(Self.kinds.joined(separator: ", "))")
    }
  }
}
