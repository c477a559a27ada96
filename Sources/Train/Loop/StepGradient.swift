package import Communication
package import LMData
package import Model
package import Tensor

/// The gradient of a step's mean loss, over all micro-batches, shares and ranks.
///
/// Every rank reads the same batch, computes the shares that are its own, and ends with its part of the
/// same sum: see `ShareTree` and `Partition`. One share on one rank is accumulated where it is, without a
/// copy.
package struct StepGradient {
  /// The gradient, once it is computed; of several ranks each has its part.
  package let gradients: Parameters
  /// Adds the sums of all ranks; nil for one.
  let sum: GradientSum?
  let exchange: GradientExchange?
  private let model: Transformer
  let communicator: any Communicator
  private let config: RunConfig
  let tree: ShareTree
  /// What a sampled loss normalises over, and its rows of the head; nil for a full one.
  private let sampled: (candidates: SoftmaxCandidates, head: CandidateHead)?
  /// The sums of the rank's own nodes; the first of them is `gradients`.
  let nodes: [Parameters]
  /// For the right halves of nodes, by depth.
  private let halves: [Parameters]
  /// The same of the rows of n-grams.
  let ngrams: NgramSums?

  /// - Parameters:
  ///   - config: The run.
  ///   - model: What is trained.
  ///   - communicator: Who trains it together.
  ///   - link: Carries the sums between them; nil if the communicator does.
  ///   - largestStep: Targets of a step at most.
  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for the sums.
  package init(
    _ config: RunConfig, model: Transformer, communicator: any Communicator,
    linkedBy link: (any DeviceLink)?, largestStep: Int
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
    if let sampledSoftmax = config.sampledSoftmax,
      let capacity = config.mostCandidates(targets: largestStep)
    {
      sampled = (
        SoftmaxCandidates(
          sampledSoftmax, vocabularySize: config.model.vocabularySize, seed: config.seed),
        try CandidateHead(config.model, capacity: capacity, on: model.kernels)
      )
    } else {
      sampled = nil
    }
    ngrams = try NgramSums(
      config, kernels: model.kernels, communicator, tree, depth: Self.depth(own),
      positions: largestStep)
    guard communicator.size > 1 else {
      (sum, exchange) = (nil, nil)
      return
    }
    let sum = try GradientSum(
      model.kernels, communicator, linkedBy: link, tree,
      config.partition(ranks: communicator.size))
    self.sum = sum
    exchange = GradientExchange(model.kernels, sum, nodes: nodes.map(\.all))
  }

  /// Ends what works beside the loop.
  func close() { exchange?.close() }

  /// Numbers that a rank holds for sums of gradients.
  static func numbers(_ config: RunConfig, ranks: Int, rank: Int) -> [Int] {
    let tree = ShareTree(shares: config.shares, ranks: ranks)
    let own = tree.nodes(of: rank)
    let count = ParameterLayout(config.model).count
    let buffers = Array(repeating: count, count: own.count + depth(own))
    if ranks == 1 { return buffers }
    return buffers + [
      GradientSum.receivedNumbers(tree, config.partition(ranks: ranks), rank: rank)
    ]
  }

  /// Levels of the largest node.
  static func depth(_ nodes: [ShareTree.Node]) -> Int {
    (nodes.map(\.count).max() ?? 1).trailingZeroBitCount
  }

  /// Computes the gradient of a batch's mean loss.
  ///
  /// - Parameters:
  ///   - batch: The whole step.
  ///   - step: Its number, from 1.
  /// - Returns: Sum of the targets' negative log-probabilities in nats, dropout included.
  package func compute(_ batch: Batch, step: Int) throws -> Double {
    let pass = makePass(batch, step: step)
    let own = tree.nodes(of: communicator.rank)
    let finished = Finished(stages: gradients.layout.stages.count, exchange: exchange)
    let outcome = Result {
      try gatherHead(of: pass)
      ngrams?.begin(batch)
      return try zip(own.indices, nodes).map { index, sum in
        let node = own[index]
        return try accumulate(
          node, pass, into: sum, rows: ngrams?.nodes[index], depth: 0,
          finished: node == own.last && exchange != nil ? finished : nil)
      }
    }
    // The others wait for this rank's part, whatever has become of it.
    finished.finishAll()
    try exchange?.wait()
    let nats = try communicator.together { try outcome.get() }
    try ngrams?.addRanks()
    if communicator.size == 1 { return nats[0] }
    let all = try communicator.gather(
      nats, counts: (0..<communicator.size).map { tree.nodes(of: $0).count })
    return tree.sum({ all[$0][$1] }, adding: +)
  }

  /// Computes the gradient of a batch's first micro-batch, on any rank the same, and adds nothing up.
  ///
  /// - Parameters:
  ///   - batch: The whole step.
  ///   - step: Its number, from 1.
  func computeFirst(of batch: Batch, step: Int) throws {
    let pass = makePass(batch, step: step)
    try gatherHead(of: pass)
    model.kernels.fill(gradients.all, with: 0)
    guard let share = pass.shares.first(where: { $0.batch.positions > 0 }),
      let micro = share.batch.split(maximumPositions: config.microBatchTokens).first
    else { return }
    _ = try accumulate(micro, after: share.first, pass, into: gradients)
  }

  var kernels: any Kernels { model.kernels }
  /// Tokens that the last sampled loss normalised over: more than were asked for where the step had more
  /// targets.
  var candidates: Int { sampled?.head.count ?? 0 }
  var ranks: Range<Int> { 0..<communicator.size }

  /// Moves the rows of n-grams that the step has touched.
  package func moveNgrams(of parameters: Parameters) throws {
    if let tables = parameters.ngrams { try ngrams?.move(tables) }
  }

  /// The Euclidean norm of the whole gradient.
  package func norm() throws -> Double {
    guard let sum else { return try Optimizer.norm(gradients, kernels: model.kernels) }
    let own = try communicator.together { try sum.squares(gradients.all) }
    return sum.norm(
      try communicator.gather(
        own, counts: (0..<communicator.size).map { sum.partition.runs(of: $0).count }))
  }

  /// The whole gradient, on every rank.
  func complete() throws -> Parameters {
    try sum?.gather(gradients.all)
    return gradients
  }

  // MARK: Shares

  /// What is computed.
  private struct Pass {
    let batch: Batch
    let shares: [(batch: Batch, first: Int)]
    let step: Int
    /// The rows of the head that the loss normalises over; nil for all.
    let head: CandidateHead?
  }

  private func makePass(_ batch: Batch, step: Int) -> Pass {
    Pass(
      batch: batch, shares: batch.shares(tree.shares), step: step,
      head: config.candidates(step: step) == nil ? nil : sampled?.head)
  }

  /// Takes the rows of the head that a sampled loss normalises over.
  private func gatherHead(of pass: Pass) throws {
    guard let sampled, let head = pass.head else { return }
    try head.gather(
      sampled.candidates.ids(step: pass.step, targets: pass.batch.targets), from: model.parameters)
  }

  /// Stages of the last backward pass of a step that are finished, and what is added to what then.
  private final class Finished {
    /// The right half of a node and that which it is added to, the inner ones last.
    var additions: [(half: Parameters, sum: Parameters)] = []
    private var left: [Int]
    private let exchange: GradientExchange?

    init(stages: Int, exchange: GradientExchange?) {
      left = Array(0..<stages)
      self.exchange = exchange
    }

    /// Adds up a stage of this rank's own shares and hands it over.
    func finish(_ stage: Int, _ kernels: any Kernels) {
      guard let exchange, left.last == stage else { return }
      left.removeLast()
      for segment in exchange.segments(stage: stage) {
        let (first, count) = (segment.range.lowerBound, segment.range.count)
        for addition in additions.reversed() {
          kernels.add(
            addition.half.all.part(first, count: count),
            to: addition.sum.all.part(first, count: count))
        }
      }
      exchange.add(stage: stage)
    }

    func finishAll() {
      while let stage = left.popLast() { exchange?.add(stage: stage) }
    }
  }

  private func accumulate(
    _ node: ShareTree.Node, _ pass: Pass, into sum: Parameters, rows: View?, depth: Int,
    finished: Finished?
  ) throws -> Double {
    guard node.count == 1 else {
      let (left, right) = ShareTree.halves(node)
      let half = halves[depth]
      let halfRows = ngrams?.halves[depth]
      let nats = try accumulate(
        left, pass, into: sum, rows: rows, depth: depth + 1, finished: nil)
      finished?.additions.append((half, sum))
      let more = try accumulate(
        right, pass, into: half, rows: halfRows, depth: depth + 1, finished: finished)
      if let halfRows, let rows { model.kernels.add(halfRows.flat, to: rows.flat) }
      if finished == nil { model.kernels.add(half.all, to: sum.all) }
      return nats + more
    }
    let share = pass.shares[node.lowerBound]
    model.kernels.fill(sum.all, with: 0)
    if let rows { model.kernels.fill(rows, with: 0) }
    var nats = 0.0
    var done = share.first
    let parts = share.batch.split(maximumPositions: config.microBatchTokens)
    for (index, micro) in parts.enumerated() {
      nats += try accumulate(
        micro, after: done, pass, into: sum, ngrams: rows.flatMap { ngrams?.gradients(in: $0) }
      ) { stage in
        if index == parts.count - 1 { finished?.finish(stage, model.kernels) }
      }
      done += micro.positions
    }
    if parts.isEmpty {
      for stage in gradients.layout.stages.indices.reversed() {
        finished?.finish(stage, model.kernels)
      }
    }
    return nats
  }

  /// Adds the gradient of a micro-batch whose first position is the step's `done`-th.
  ///
  /// - Returns: Sum of its negative log-probabilities in nats.
  private func accumulate(
    _ micro: Batch, after done: Int, _ pass: Pass, into sum: Parameters,
    ngrams: NgramGradients? = nil,
    isFinished: (_ stage: Int) -> Void = { _ in }
  ) throws -> Double {
    let dropout =
      config.dropout > 0
      ? Dropout(
        probability: config.dropout, seed: config.seed, step: pass.step, rowOffset: done) : nil
    return try model.accumulateGradients(
      ids: micro.ids, targets: micro.targets, starts: micro.starts,
      gradientScale: 1 / Float(pass.batch.positions), dropout: dropout,
      draw: .training(seed: config.seed, step: pass.step), candidates: pass.head, into: sum,
      ngrams: ngrams, finished: isFinished)
  }
}

extension RunConfig {
  /// How the weights are dealt to ranks.
  package func partition(ranks: Int) -> Partition {
    Partition(ParameterLayout(model), ranks: ranks) { optimizer.kind(of: $0) == .muon }
  }
}
