package import Communication
package import Tensor

/// Adds what the ranks have summed up, in the order of the tree.
///
/// Every rank gets its part of all sums and adds it; what needs all of it is gathered afterwards. So many
/// bytes are sent as in a ring, whatever the number of ranks; and no sum is left to a library, whose order
/// may change with sizes, ranks and versions.
///
/// On a device that works later than it is asked, all of this is done beside its other work: what is
/// exchanged waits for the mark it comes with, and is there when a call returns.
package final class GradientSum {
  private let kernels: any Kernels
  /// In whose order exchanges and their sums are done.
  private let beside: any Kernels
  private let communicator: any Communicator
  /// Nil where the communicator carries the numbers, through memory of this process.
  private let link: (any DeviceLink)?
  private let tree: ShareTree
  package let partition: Partition
  /// The parts that other ranks have summed up, one behind the other.
  private let received: View

  /// - Parameters:
  ///   - kernels: Of this rank.
  ///   - communicator: The ranks.
  ///   - link: Carries the numbers; nil if the communicator does.
  ///   - tree: The order of the sums.
  ///   - partition: What every rank needs and owns.
  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for the parts of other ranks.
  package init(
    _ kernels: any Kernels, _ communicator: any Communicator,
    linkedBy link: (any DeviceLink)? = nil,
    _ tree: ShareTree, _ partition: Partition
  ) throws(DeviceError) {
    self.kernels = kernels
    self.communicator = communicator
    self.link = link
    self.tree = tree
    self.partition = partition
    beside = if let link { link.kernels } else { try kernels.makeSibling() }
    received = try beside.makeView(
      rows: 1, columns: Self.receivedNumbers(tree, partition, rank: communicator.rank))
  }

  /// Numbers that a rank receives at once.
  package static func receivedNumbers(
    _ tree: ShareTree, _ partition: Partition, rank: Int
  ) -> Int {
    let foreign = (0..<tree.ranks).reduce(0) {
      $0 + ($1 == rank ? 0 : tree.nodes(of: $1).count)
    }
    return foreign * (partition.segments.map { $0.needed(by: rank).count }.max() ?? 0)
  }

  /// Adds one segment; the part that this rank needs is in the first node afterwards, all else in the
  /// segment is left undefined.
  ///
  /// - Parameters:
  ///   - segment: Of the partition.
  ///   - nodes: The sums of the rank's own nodes, each all weights.
  ///   - mark: The work that computes the segment; nil if it is done.
  ///   - isShared: Whether another thread computes meanwhile; asked again and again.
  package func add(
    _ segment: Partition.Segment, _ nodes: [View], after mark: WorkMark? = nil,
    isShared: () -> Bool = { false }
  ) throws {
    beside.follow(mark)
    let own = communicator.rank
    let ranks = 0..<communicator.size
    let count = segment.needed(by: own).count
    let places = places(count: count)
    for index in 0..<(ranks.map { tree.nodes(of: $0).count }.max() ?? 0) {
      let sends = index < nodes.count
      let outgoing = ranks.map { rank in
        sends && rank != own ? segment.needed(by: rank) : 0..<0
      }
      let incoming = ranks.map { rank in
        rank != own && index < tree.nodes(of: rank).count
          ? places[rank][index]..<places[rank][index] + count : 0..<0
      }
      try exchange(nodes[sends ? index : 0], outgoing, incoming, isShared: isShared)
    }
    guard count > 0 else { return }
    let first = segment.needed(by: own).lowerBound
    func part(_ rank: Int, _ index: Int) -> View {
      rank == own
        ? nodes[index].part(first, count: count)
        : received.part(places[rank][index], count: count)
    }
    let sum = tree.sum({ (part($0, $1), $0 == own && $1 == 0) }) { left, right in
      beside.add(right.0, to: left.0)
      return left
    }
    // Unless the first node of the tree is this rank's own.
    if !sum.1 { beside.copy(sum.0, to: part(own, 0)) }
  }

  /// Waits for the sums that were asked for.
  func finish() throws(DeviceError) { try beside.synchronize() }

  /// Takes parts of other ranks into `received`.
  private func exchange(
    _ node: View, _ outgoing: [Range<Int>], _ incoming: [Range<Int>], isShared: () -> Bool
  ) throws {
    if let link {
      return try link.exchange(node, outgoing, into: received, incoming, isShared: isShared)
    }
    try beside.withMutableFloats(of: node, reading: outgoing, writing: []) { sent in
      try beside.withMutableFloats(of: received, reading: [], writing: incoming) { taken in
        guard let from = sent.baseAddress, let to = taken.baseAddress else { return }
        try communicator.exchange(
          Outgoing(UnsafeRawPointer(from), outgoing.map(bytes)),
          into: Incoming(to, incoming.map(bytes)), isShared: isShared)
      }
    }
  }

  /// Where the nodes of other ranks are received, by rank.
  private func places(count: Int) -> [[Int]] {
    var next = 0
    return (0..<communicator.size).map { rank in
      rank == communicator.rank
        ? []
        : tree.nodes(of: rank).map { _ in
          next += count
          return next - count
        }
    }
  }

  /// Sends what every rank owns of something that is as large as all weights.
  ///
  /// - Parameters:
  ///   - all: Complete afterwards.
  ///   - target: The rank that gets it, or nil for all.
  package func gather(_ all: View, to target: Int? = nil) throws {
    beside.follow(try kernels.mark())
    let own = communicator.rank
    let ranks = 0..<communicator.size
    let parts = partition.segments.map { segment in
      func part(from rank: Int, to other: Int) -> Range<Int> {
        rank != other && target ?? other == other ? segment.owned(by: rank) : 0..<0
      }
      return (
        outgoing: ranks.map { part(from: own, to: $0) },
        incoming: ranks.map { part(from: $0, to: own) }
      )
    }
    if let link {
      for (outgoing, incoming) in parts {
        try link.exchange(all, outgoing, into: all, incoming) { false }
      }
    } else {
      try beside.withMutableFloats(
        of: all, reading: parts.flatMap(\.outgoing), writing: parts.flatMap(\.incoming)
      ) { memory in
        guard let base = memory.baseAddress else { return }
        try communicator.exchange(
          parts.map { outgoing, incoming in
            (
              Outgoing(UnsafeRawPointer(base), outgoing.map(bytes)),
              Incoming(base, incoming.map(bytes))
            )
          })
      }
    }
    try beside.synchronize()
  }

  /// Bytes that this rank sends to others in all segments, its part of what is gathered included.
  package var sentBytes: Int {
    let own = communicator.rank
    let count = partition.segments.reduce(0) { sum, segment in
      let others = (0..<tree.ranks).filter { $0 != own }
      return sum + others.count * segment.owned(by: own).count
        + others.reduce(0) { $0 + segment.needed(by: $1).count * tree.nodes(of: own).count }
    }
    return 4 * count
  }

  private func bytes(_ numbers: Range<Int>) -> Range<Int> {
    4 * numbers.lowerBound..<4 * numbers.upperBound
  }

  /// The weights that this rank moves.
  var owned: [Range<Int>] { partition.owned(by: communicator.rank) }

  // MARK: Norm

  /// Sums of squares of the runs that this rank adds up.
  func squares(_ gradient: View) throws(DeviceError) -> [Double] {
    var sums: [Double] = []
    for first in partition.runs(of: communicator.rank) {
      let count = min(Squares.run, gradient.count - first)
      sums.append(try kernels.sumOfSquares(gradient.part(first, count: count)))
    }
    return sums
  }

  /// The sum over all runs, from those of every rank.
  func norm(_ squares: [[Double]]) -> Double {
    var sums: [Int: Double] = [:]
    for (rank, own) in squares.enumerated() {
      for (first, sum) in zip(partition.runs(of: rank), own) { sums[first] = sum }
    }
    return sums.sorted { $0.key < $1.key }.reduce(0) { $0 + $1.value }.squareRoot()
  }
}

extension View {
  /// A part of contiguous memory, as one row.
  package func part(_ first: Int, count: Int) -> View {
    View(buffer, offset: offset + first, rows: 1, columns: count)
  }
}

extension Kernels {
  /// `sum += x` over contiguous memory, in rows that threads share.
  package func add(_ x: View, to sum: View) {
    let width = 1 << 12
    let rows = x.count / width
    func part(_ view: View, _ rows: Int, _ columns: Int, from first: Int) -> View {
      View(view.buffer, offset: view.offset + first, rows: rows, columns: columns)
    }
    residualAdd(x: part(sum, rows, width, from: 0), y: part(x, rows, width, from: 0))
    let rest = x.count - rows * width
    residualAdd(
      x: part(sum, 1, rest, from: rows * width), y: part(x, 1, rest, from: rows * width))
  }
}
