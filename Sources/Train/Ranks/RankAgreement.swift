import Communication
import LMData
import Model
import Tensor

/// Whether all ranks have the same weights, and compute and add up the same gradients.
///
/// They do by construction, unless the memory, the processor, the card or the network of one is at fault.
struct RankAgreement {
  private let communicator: any Communicator
  /// The newest checkpoint, on rank 0.
  private let checkpoint: () -> Int?

  init(_ communicator: any Communicator, checkpoint: @escaping () -> Int?) {
    self.communicator = communicator
    self.checkpoint = checkpoint
  }

  /// Throws on every rank if one has other weights, and says which.
  ///
  /// - Parameters:
  ///   - weights: Of this rank.
  ///   - step: The step that is taken from them.
  func check(_ weights: Parameters, before step: Int) throws {
    guard communicator.size > 1 else { return }
    let own = try communicator.together {
      var digest = BitDigest()
      try weights.device.withFloats(of: weights.all) { digest.update($0, times: 1) }
      return digest.value
    }
    let odd = Self.odd(try Self.gather(own, communicator))
    guard !odd.isEmpty else { return }
    throw try fault("\(have(odd)) other weights than \(others(than: odd))", odd, before: step)
  }

  /// Throws on every rank if one computes or adds up another gradient, and says which.
  ///
  /// - Parameters:
  ///   - probe: What looks.
  ///   - batch: Of the step.
  ///   - step: Its number.
  func check(_ probe: GradientProbe, _ batch: Batch, step: Int) throws {
    switch try probe.run(batch, step: step) {
    case nil: return
    case .computing(let odd):
      throw try fault(
        "\(have(odd)) another gradient of the same weights and text than \(others(than: odd))",
        odd, before: step)
    case .adding(let odd):
      throw try fault(
        "\(have(odd)) a wrong sum of the gradients that all ranks have alike", odd,
        before: step)
    }
  }

  private func have(_ odd: [Int]) -> String {
    let list = odd.map { "\($0)" }.joined(separator: ", ")
    return "\(odd.count == 1 ? "rank" : "ranks") \(list) of \(communicator.size) "
      + (odd.count == 1 ? "has" : "have")
  }

  private func others(than odd: [Int]) -> String {
    odd.count == communicator.size ? "one another" : "the others"
  }

  private func fault(_ finding: String, _ odd: [Int], before step: Int) throws -> TrainingError {
    let checkpoint = try communicator.broadcast(checkpoint() ?? -1)
    let (owner, those) = odd.count == 1 ? ("its", "that machine") : ("their", "the one at fault")
    return .invalid(
      "before step \(step) \(finding): \(owner) memory, processor, card or "
        + "network is at fault; start without \(those) and --resume"
        + (checkpoint >= 0 ? " from step \(checkpoint)" : ""))
  }

  /// A digest of every rank, by rank.
  static func gather(_ digest: UInt64, _ communicator: any Communicator) throws -> [UInt64] {
    try communicator.gather(
      [Double(bitPattern: digest)], counts: Array(repeating: 1, count: communicator.size)
    ).map { $0[0].bitPattern }
  }

  /// The ranks whose digest is not that of more than half; all of them if none is.
  static func odd(_ digests: [UInt64]) -> [Int] {
    var counts: [UInt64: Int] = [:]
    for digest in digests { counts[digest, default: 0] += 1 }
    let usual = counts.first { 2 * $0.value > digests.count }?.key
    return digests.indices.filter { digests[$0] != usual }
  }
}
