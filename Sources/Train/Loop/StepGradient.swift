import Communication
import LMData
import Model
import Tensor

/// The gradient of a step's mean loss, over all micro-batches, shares and ranks.
///
/// Every rank reads the same batch, computes the shares that are its own, and ends with the same sum:
/// see `ShareTree`. One share on one rank is accumulated where it is, without a copy.
struct StepGradient {
  /// The gradient, once it is computed.
  let gradients: Parameters
  private let model: Transformer
  private let communicator: any Communicator
  private let config: RunConfig
  private let tree: ShareTree
  /// Adds the sums of all ranks; nil for one.
  private let sum: GradientSum?
  /// The sums of the rank's own nodes; the first of them is `gradients`.
  private let nodes: [Parameters]
  /// For the right halves of nodes, by depth.
  private let halves: [Parameters]

  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for the sums.
  init(
    _ config: RunConfig, model: Transformer, communicator: any Communicator
  ) throws(DeviceError) {
    self.config = config
    self.model = model
    self.communicator = communicator
    tree = ShareTree(shares: config.shares, ranks: communicator.size)
    let own = tree.nodes(of: communicator.rank)
    func make(_ count: Int) throws(DeviceError) -> [Parameters] {
      var made: [Parameters] = []
      for _ in 0..<count { made.append(try Parameters(config.model, on: model.kernels)) }
      return made
    }
    nodes = try make(own.count)
    halves = try make(Self.depth(own))
    gradients = nodes[0]
    sum =
      communicator.size == 1
      ? nil
      : try GradientSum(
        model.kernels, communicator, tree,
        Partition(gradients.layout, ranks: communicator.size))
  }

  /// Buffers of the size of all weights that a rank holds for sums of gradients.
  static func buffers(_ config: RunConfig, ranks: Int, rank: Int) -> Int {
    let own = ShareTree(shares: config.shares, ranks: ranks).nodes(of: rank)
    return own.count + depth(own)
  }

  /// Levels of the largest node.
  private static func depth(_ nodes: [ShareTree.Node]) -> Int {
    (nodes.map(\.count).max() ?? 1).trailingZeroBitCount
  }

  /// Computes the gradient of a batch's mean loss.
  ///
  /// - Parameters:
  ///   - batch: The whole step.
  ///   - step: Its number, from 1.
  /// - Returns: Sum of the targets' negative log-probabilities in nats, dropout included.
  func compute(_ batch: Batch, step: Int) throws -> Double {
    let shares = batch.shares(tree.shares)
    let own = tree.nodes(of: communicator.rank)
    let nats = try communicator.together {
      try zip(own, nodes).map { node, sum in
        try accumulate(node, of: shares, batch: batch, step: step, into: sum, depth: 0)
      }
    }
    if communicator.size == 1 { return nats[0] }
    if let sum {
      for segment in sum.partition.segments { try sum.add(segment, nodes.map(\.all)) }
      try sum.gather(gradients.all)
    }
    let all = try communicator.gather(nats)
    return tree.sum({ all[$0][$1] }, adding: +)
  }

  private func accumulate(
    _ node: ShareTree.Node, of shares: [(batch: Batch, first: Int)], batch: Batch, step: Int,
    into sum: Parameters, depth: Int
  ) throws -> Double {
    guard node.count == 1 else {
      let (left, right) = ShareTree.halves(node)
      let half = halves[depth]
      let nats = try accumulate(
        left, of: shares, batch: batch, step: step, into: sum, depth: depth + 1)
      let more = try accumulate(
        right, of: shares, batch: batch, step: step, into: half, depth: depth + 1)
      model.kernels.add(half.all, to: sum.all)
      return nats + more
    }
    let share = shares[node.lowerBound]
    model.kernels.fill(sum.all, with: 0)
    var nats = 0.0
    var done = share.first
    for micro in share.batch.split(maximumPositions: config.microBatchTokens) {
      let dropout =
        config.dropout > 0
        ? Dropout(probability: config.dropout, seed: config.seed, step: step, rowOffset: done) : nil
      nats += try model.accumulateGradients(
        ids: micro.ids, targets: micro.targets, starts: micro.starts,
        gradientScale: 1 / Float(batch.positions), dropout: dropout,
        draw: .training(seed: config.seed, step: step), into: sum)
      done += micro.positions
    }
    return nats
  }
}
