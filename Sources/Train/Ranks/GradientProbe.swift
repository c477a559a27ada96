import Communication
import LMData
import Model
import Tensor

/// Whether all ranks compute and add up alike, tried on a piece of a step.
///
/// Afterwards nobody could tell: every rank takes over what the others have moved, so the weights stay equal
/// whatever a broken card has computed. So all ranks compute the same gradient now and then. Whoever has
/// other bits is at fault. Then that gradient is exchanged and added up as those of a step are, as if all
/// shares had it; adding up a power of two of equal numbers rounds nothing, so the sum is known beforehand.
struct GradientProbe {
  /// What one look has found.
  enum Finding: Equatable {
    /// Ranks that compute another gradient.
    case computing([Int])
    /// Ranks whose part of the sum is wrong.
    case adding([Int])
  }

  private let step: StepGradient
  /// Changes what this rank has computed; tests put faults here.
  private let fault: (Parameters) -> Void

  init(_ step: StepGradient, fault: @escaping (Parameters) -> Void) {
    self.step = step
    self.fault = fault
  }

  /// Looks, on all ranks together.
  ///
  /// What the gradient was before is lost.
  ///
  /// - Parameters:
  ///   - batch: The whole step that is about to be computed.
  ///   - number: Of that step, from 1.
  /// - Returns: What is wrong, the same on every rank; nil if nothing is.
  func run(_ batch: Batch, step number: Int) throws -> Finding? {
    guard let sum = step.sum, let exchange = step.exchange else { return nil }
    let (first, digests) = try computed(batch, number)
    let odd = RankAgreement.odd(digests)
    if !odd.isEmpty {
      // Who does not even agree with itself is at fault, whatever the others have.
      let (second, _) = try computed(batch, number)
      let unsteady = try step.communicator.any(
        step.ranks.map { $0 == step.communicator.rank && first != second })
      let named = step.ranks.filter { unsteady[$0] }
      return .computing(named.isEmpty ? odd : named)
    }
    let expected = try step.communicator.together {
      try digest(of: sum.owned, times: Float(step.tree.shares))
    }
    spread()
    for stage in step.gradients.layout.stages.indices.reversed() { exchange.add(stage: stage) }
    try exchange.wait()
    let found = try step.communicator.together { try digest(of: sum.owned, times: 1) }
    let wrong = try step.communicator.any(
      step.ranks.map { $0 == step.communicator.rank && found != expected })
    let named = step.ranks.filter { wrong[$0] }
    return named.isEmpty ? nil : .adding(named)
  }

  /// The gradient of the step's first micro-batch, and the digests of all ranks.
  private func computed(_ batch: Batch, _ number: Int) throws -> (own: UInt64, all: [UInt64]) {
    let own = try step.communicator.together {
      try step.computeFirst(of: batch, step: number)
      fault(step.gradients)
      return try digest(of: [0..<step.gradients.all.count], times: 1)
    }
    return (own, try RankAgreement.gather(own, step.communicator))
  }

  /// Every node gets what it would have if each of its shares had the gradient.
  private func spread() {
    let kernels = step.kernels
    let own = step.tree.nodes(of: step.communicator.rank)
    // The first one last, as the others are copies of it.
    for (index, node) in own.enumerated().reversed() {
      let sum = step.nodes[index].all
      if index > 0 { kernels.copy(step.gradients.all, to: sum) }
      for _ in 0..<node.count.trailingZeroBitCount { kernels.add(sum, to: sum) }
    }
  }

  private func digest(of ranges: [Range<Int>], times factor: Float) throws -> UInt64 {
    var digest = BitDigest()
    for range in ranges {
      let part = step.gradients.all.part(range.lowerBound, count: range.count)
      try step.kernels.withFloats(of: part) { digest.update($0, times: factor) }
    }
    return digest.value
  }
}
