import Communication
import Model
import Tensor

/// Whether all ranks have the same weights.
///
/// They do by construction, unless the memory, the processor or the network of one is at fault.
struct RankAgreement {
  /// Steps from one look to the next; every checkpoint is preceded by one as well.
  static let interval = 100

  private let communicator: any Communicator

  init(_ communicator: any Communicator) { self.communicator = communicator }

  /// Throws on every rank, with the rank that differs from the others.
  ///
  /// - Parameters:
  ///   - weights: Of this rank.
  ///   - step: The step that is taken from them.
  ///   - checkpoint: The newest one, on rank 0.
  func check(_ weights: Parameters, before step: Int, checkpoint: Int?) throws {
    guard communicator.size > 1 else { return }
    let own = try communicator.together { try Self.digest(weights) }
    let digests = try communicator.gather([Double(bitPattern: own)], counts: ones)
      .map { $0[0].bitPattern }
    guard let odd = Self.odd(digests) else { return }
    let checkpoint = try communicator.broadcast(checkpoint ?? -1)
    throw TrainingError.invalid(
      "before step \(step) rank \(odd) of \(communicator.size) has other weights than the others: its "
        + "memory, its processor or its network is at fault; start without that machine and --resume"
        + (checkpoint >= 0 ? " from step \(checkpoint)" : ""))
  }

  private var ones: [Int] { Array(repeating: 1, count: communicator.size) }

  /// The first rank whose digest is not that of most; of two, the second.
  static func odd(_ digests: [UInt64]) -> Int? {
    var counts: [UInt64: Int] = [:]
    for digest in digests { counts[digest, default: 0] += 1 }
    guard counts.count > 1 else { return nil }
    let most = counts.values.max() ?? 0
    guard let usual = digests.first(where: { counts[$0] == most }) else { return nil }
    return digests.firstIndex { $0 != usual }
  }

  /// A number that another bit anywhere changes.
  private static func digest(_ weights: Parameters) throws -> UInt64 {
    var digest: UInt64 = 0x9E37_79B9_7F4A_7C15
    try weights.device.withFloats(of: weights.all) { bytes in
      for word in bytes.bindMemory(to: UInt32.self) {
        digest = (digest ^ UInt64(word)) &* 0x0000_0100_0000_01B3
        digest ^= digest >> 29
      }
    }
    // Its bits travel as those of a number, which must be one.
    return digest & 0x3FFF_FFFF_FFFF_FFFF
  }
}
