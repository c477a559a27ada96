import ArgumentParser
import Backends
import CommandSupport
import Communication
import Deterministic
import Foundation
import Model
import Storage
import Tensor
import Train

/// What several processes need to add up their gradients.
struct ExchangeCommand: ParsableCommand, RankedCommand {
  static let configuration = CommandConfiguration(
    commandName: "exchange", abstract: "Time the sum of gradients over processes.",
    discussion: """
      Every process has so many numbers for each of its shares; all end with the
      same sum, and the digest over all calls does not depend on how many they are.

      On cards the numbers go by NCCL where every process has a card to itself
      (LM_NCCL), else through MPI. One process on a card with LM_NCCL=on sends
      itself what it would send to others.

      EXAMPLES

        mpirun -n 4 lm-bench exchange --numbers 5000000
        mpirun -n 8 lm-bench exchange --device cuda
      """)

  @Option(help: "Numbers of a gradient.") var numbers = 5_000_000
  @Option(help: "Calls, each with new numbers.") var calls = 20
  @Option(help: "Shares of a step, a power of two.") var shares = 8
  @Option(help: "cpu, cuda (of several processes each the next card), cuda:N, or auto.")
  var device = "cpu"
  @OptionGroup var timing: TimingOptions

  private struct Figures: Encodable {
    let library: String
    let device: String
    /// What the numbers go by.
    let way: String
    let ranks: Int
    let numbers: Int
    /// The same for any number of ranks.
    let digest: String
    let meanMilliseconds: Double
    let bestMilliseconds: Double
    /// Bytes that rank 0 sends in a call.
    let sentBytes: Int
  }

  func validate() throws {
    guard numbers >= 1, calls >= 1, (1...64).contains(shares), shares & (shares - 1) == 0 else {
      throw ValidationError(
        "--numbers and --calls are 1 or more, --shares is a power of two up to 64")
    }
  }

  func run() throws {
    let communicator = try Ranks.join()
    timing.apply()
    guard communicator.size <= shares else {
      throw CommandError("\(communicator.size) processes cannot share \(shares) shares")
    }
    let tree = ShareTree(shares: shares, ranks: communicator.size)
    let kernels = try Backend.named(device, localRank: Ranks.localRank).makeKernels()
    let (link, description) = try Backend.link(kernels, communicator)
    let partition = Partition(numbers: numbers, ranks: communicator.size)
    let sum = try GradientSum(kernels, communicator, linkedBy: link, tree, partition)
    let own = tree.nodes(of: communicator.rank)
    let nodes = try own.map { _ in try kernels.makeView(rows: 1, columns: numbers) }
    let spare = try kernels.makeView(rows: 1, columns: numbers)
    var hash = SHA256()
    var times: [Double] = []
    for call in 0..<calls {
      for (node, view) in zip(own, nodes) { try fill(view, node, call, spare, kernels) }
      _ = try communicator.any([true])
      let began = timing.clock.now()
      if communicator.size > 1 {
        for segment in partition.segments {
          try sum.add(segment, nodes, after: try kernels.mark())
        }
        try sum.gather(nodes[0])
      } else if let link {
        try sendToSelf(nodes[0], spare, link, kernels)
      }
      times.append(timing.clock.now() - began)
      try kernels.withFloats(of: nodes[0]) { hash.update($0) }
    }
    let digest = hash.finalize()
    for (rank, other) in try communicator.gather(Array(digest.utf8)).enumerated()
    where other != Array(digest.utf8) {
      throw CommandError("rank \(rank) and rank \(communicator.rank) have other sums")
    }
    try show(
      Figures(
        library: (communicator as? MPIRanks)?.library ?? "none", device: kernels.name,
        way: description ?? "memory of the hosts", ranks: communicator.size, numbers: numbers,
        digest: digest,
        meanMilliseconds: 1e3 * times.reduce(0, +) / Double(calls),
        bestMilliseconds: 1e3 * (times.min() ?? 0),
        sentBytes: communicator.size > 1 ? sum.sentBytes : 0))
  }

  /// Sends all numbers from one view to the other, and back over zeros.
  private func sendToSelf(
    _ numbers: View, _ spare: View, _ link: any DeviceLink, _ kernels: any Kernels
  ) throws {
    let all = [0..<numbers.count]
    link.kernels.follow(try kernels.mark())
    try link.exchange(numbers, all, into: spare, all) { false }
    kernels.fill(numbers, with: 0)
    link.kernels.follow(try kernels.mark())
    try link.exchange(spare, all, into: numbers, all) { false }
  }

  /// The sum of the shares of a node, in the order of the tree.
  private func fill(
    _ view: View, _ node: ShareTree.Node, _ call: Int, _ spare: View, _ kernels: any Kernels
  ) throws {
    guard node.count > 1 else {
      // Over 24 binades, so that almost every addition rounds.
      for first in stride(from: 0, to: numbers, by: 1 << 20) {
        let part = first..<min(numbers, first + 1 << 20)
        let key = UInt64(call) &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(node.lowerBound) &* 0xD1B5_4A32
        try kernels.write(
          part.map { Self.number(key &+ UInt64($0)) }, to: view.part(first, count: part.count))
      }
      return
    }
    let (left, right) = ShareTree.halves(node)
    try fill(view, left, call, spare, kernels)
    let half = right.count > 1 ? try kernels.makeView(rows: 1, columns: numbers) : spare
    try fill(half, right, call, spare, kernels)
    kernels.add(half, to: view)
  }

  /// A number between 2⁻²⁴ and 2 or its negative, from a hash (Stafford's variant 13 of MurmurHash3's end).
  private static func number(_ place: UInt64) -> Float {
    var z = place &* 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    z ^= z >> 31
    let exponent = 127 - UInt32(truncatingIfNeeded: (z >> 8) % 25)
    return Float(bitPattern: UInt32(truncatingIfNeeded: z >> 32) & 0x807F_FFFF | exponent << 23)
  }

  private func show(_ figures: Figures) throws {
    if timing.json {
      print(String(decoding: try JSONFile.encode(figures), as: UTF8.self), terminator: "")
      return
    }
    let bound = Double(figures.sentBytes) * 8e-9
    print(
      Format.table([
        ["library", figures.library], ["device", figures.device], ["way", figures.way],
        ["processes", "\(figures.ranks)"],
        ["numbers", Format.count(figures.numbers)], ["digest", figures.digest],
        ["mean", Format.decimal(figures.meanMilliseconds, 1) + " ms"],
        ["best", Format.decimal(figures.bestMilliseconds, 1) + " ms"],
        ["sent by rank 0", Format.bytes(figures.sentBytes)],
        ["at 1 Gbit/s", Format.decimal(1e3 * bound, 1) + " ms"],
      ]))
  }
}
