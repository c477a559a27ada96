import Deterministic
import Foundation
import Tensor

/// Draws tokens from logits.
///
/// The number behind a draw is a function of (seed, sample, step) alone, so a sample is the same
/// text whatever is sampled beside it.
package struct Sampler: Sendable {
  package let options: SamplingOptions
  private let seed: UInt64
  private let isExcluded: [Bool]

  /// Vocabulary up to which sorting all candidates is as quick as finding a threshold first.
  private static let sortedAtOnce = 2_048

  /// - Parameters:
  ///   - options: What the distribution is made of.
  ///   - seed: Of all samples.
  ///   - vocabulary: Number of tokens.
  ///   - excluded: Tokens that are never drawn.
  package init(
    _ options: SamplingOptions, seed: UInt64, vocabulary: Int, excluded: some Sequence<Int32>
  ) throws(EvaluationError) {
    try options.validate()
    self.options = options
    self.seed = seed
    var isExcluded = [Bool](repeating: false, count: vocabulary)
    for id in excluded { isExcluded[Int(id)] = true }
    guard isExcluded.contains(false) else {
      throw .invalid("no token of the \(vocabulary) may be sampled")
    }
    self.isExcluded = isExcluded
  }

  /// The next token of a sample.
  ///
  /// - Parameters:
  ///   - logits: One per token, `[V]`; -∞ is never drawn.
  ///   - sample: Number of the sample.
  ///   - step: Tokens of it drawn before.
  ///   - past: Tokens of the prompt and the sample, for the repetition penalty.
  /// - Throws: `EvaluationError.noLogits` for a logit that is NaN or +∞, or if all are -∞.
  package func choose(
    _ logits: [Float], sample: Int, step: Int, past: [Int32] = []
  ) throws(EvaluationError) -> Int32 {
    try choose(logits.span, sample: sample, step: step, past: past)
  }

  /// The next token of a sample, from logits where they lie.
  package func choose(
    _ logits: Span<Float>, sample: Int, step: Int, past: [Int32] = []
  ) throws(EvaluationError) -> Int32 {
    if options.repetitionPenalty != 1, !past.isEmpty {
      return try choose(penalised(logits, past), sample: sample, step: step)
    }
    precondition(logits.count == isExcluded.count)
    var best = -1
    for id in logits.indices where !isExcluded[id] {
      let logit = logits[id]
      guard logit < .infinity else { throw .noLogits(step: step) }
      if best < 0 || logit > logits[best] { best = id }
    }
    guard logits[best] > -.infinity else { throw .noLogits(step: step) }
    if options.temperature == 0 { return Int32(best) }
    let uniform = CounterRandom(seed: seed, 0x5A3B, UInt64(sample)).uniform(UInt64(step))
    if keepsAll { return drawFromAll(logits, best: best, uniform: uniform) }
    let candidates = candidates(logits, largest: logits[best])
    let mass = candidates.reduce(0) { $0 + $1.weight }
    let target = uniform * mass
    var passed = 0.0
    for candidate in candidates {
      passed += candidate.weight
      if target < passed { return candidate.id }
    }
    // Rounding may leave the target at the very end.
    return candidates.last { $0.weight > 0 }?.id ?? Int32(best)
  }

  /// The logits with those of `past` made less probable, each once.
  private func penalised(_ logits: Span<Float>, _ past: [Int32]) -> [Float] {
    var result = logits.indices.map { logits[$0] }
    let penalty = Float(options.repetitionPenalty)
    for id in past {
      let logit = logits[Int(id)]
      result[Int(id)] = logit > 0 ? logit / penalty : logit * penalty
    }
    return result
  }

  /// Whether every token may be drawn.
  private var keepsAll: Bool {
    (options.topK == 0 || options.topK >= isExcluded.count) && options.topP == 1
      && options.minP == 0
  }

  /// A draw from all tokens: the same sums, without a list of candidates.
  private func drawFromAll(
    _ logits: Span<Float>, best: Int, uniform: Double
  ) -> Int32 {
    let (largest, temperature) = (Double(logits[best]), options.temperature)
    var weights = [Double](repeating: 0, count: logits.count)
    var mass = 0.0
    for id in logits.indices {
      let weight = isExcluded[id] ? 0 : exp((Double(logits[id]) - largest) / temperature)
      weights[id] = weight
      mass += weight
    }
    let target = uniform * mass
    var passed = 0.0
    var last = best
    for id in weights.indices where weights[id] > 0 {
      passed += weights[id]
      if target < passed { return Int32(id) }
      last = id
    }
    return Int32(last)
  }

  /// A token that may be drawn.
  private struct Candidate {
    let id: Int32
    let logit: Float
    /// Probability relative to the most probable token.
    let weight: Double

    /// More probable first, then the lower id.
    static func isBefore(_ left: Candidate, _ right: Candidate) -> Bool {
      left.logit != right.logit ? left.logit > right.logit : left.id < right.id
    }
  }

  private func candidates(
    _ logits: Span<Float>, largest: Float
  ) -> [Candidate] {
    var least = -Float.infinity
    if options.topK > 0 && options.topK < logits.count && logits.count > Self.sortedAtOnce {
      least = leastKept(logits, count: options.topK)
    }
    var kept: [Candidate] = []
    for id in logits.indices where !isExcluded[id] && logits[id] >= least {
      let logit = logits[id]
      let weight = exp((Double(logit) - Double(largest)) / options.temperature)
      kept.append(Candidate(id: Int32(id), logit: logit, weight: weight))
    }
    if options.topK > 0 && options.topK < kept.count {
      kept.sort(by: Candidate.isBefore)
      kept.removeSubrange(options.topK...)
    }
    if options.topP < 1 { kept = nucleus(kept) }
    if options.minP > 0 { kept.removeAll { $0.weight < options.minP } }
    return kept
  }

  private func nucleus(_ all: [Candidate]) -> [Candidate] {
    let mass = all.reduce(0) { $0 + $1.weight }
    // Tokens below this all together cannot fill what the nucleus leaves; few need sorting.
    let negligible = (1 - options.topP) * mass / Double(all.count)
    var kept = all.filter { $0.weight >= negligible }
    kept.sort(by: Candidate.isBefore)
    var reached = 0.0
    for index in kept.indices {
      reached += kept[index].weight
      if reached >= options.topP * mass { return Array(kept[...index]) }
    }
    return kept
  }

  /// A bound that the `count` largest logits reach, and few others.
  ///
  /// Counts logits by their upper 16 bits, which sort as the numbers do.
  private func leastKept(_ logits: Span<Float>, count: Int) -> Float {
    func bucket(_ logit: Float) -> Int {
      // Adding zero makes one zero of both.
      let bits = (logit + 0).bitPattern
      return Int((bits >> 31 == 0 ? bits | 1 << 31 : ~bits) >> 16)
    }
    var counts = [Int32](repeating: 0, count: 1 << 16)
    for id in logits.indices where !isExcluded[id] { counts[bucket(logits[id])] += 1 }
    var remaining = count
    for index in counts.indices.reversed() where counts[index] > 0 {
      remaining -= Int(counts[index])
      if remaining <= 0 {
        let bits = UInt32(index) << 16
        return Float(bitPattern: bits >> 31 == 1 ? bits & ~(1 << 31) : ~bits)
      }
    }
    return -.infinity
  }
}
