/// How the shares of a step are dealt to ranks, and the one order in which their sums are added.
///
/// A step is cut into a power of two of shares; the sum of all is that of a binary tree over them,
/// whoever computed them. A rank has neighbouring shares and adds up the complete subtrees among
/// them; what is left of the tree is added after an exchange. So the bits of a sum depend on the
/// number of shares and not on that of the ranks.
package struct ShareTree: Sendable, Equatable {
  /// A complete subtree: the shares under it.
  package typealias Node = Range<Int>

  package let shares: Int
  package let ranks: Int

  /// - Precondition: `shares` is a power of two, and there is one for every rank at least.
  package init(shares: Int, ranks: Int) {
    precondition(shares > 0 && shares & (shares - 1) == 0, "\(shares) shares")
    precondition((1...shares).contains(ranks), "\(ranks) ranks for \(shares) shares")
    self.shares = shares
    self.ranks = ranks
  }

  /// The shares that a rank computes.
  package func shares(of rank: Int) -> Range<Int> {
    rank * shares / ranks..<(rank + 1) * shares / ranks
  }

  /// The largest complete subtrees among the shares of a rank, from left to right.
  package func nodes(of rank: Int) -> [Node] { nodes(in: shares(of: rank), under: 0..<shares) }

  private func nodes(in own: Range<Int>, under node: Node) -> [Node] {
    if own.lowerBound <= node.lowerBound && node.upperBound <= own.upperBound { return [node] }
    if own.clamped(to: node).isEmpty { return [] }
    let (left, right) = Self.halves(node)
    return nodes(in: own, under: left) + nodes(in: own, under: right)
  }

  /// The two halves of a node that is no single share.
  package static func halves(_ node: Node) -> (left: Node, right: Node) {
    let middle = (node.lowerBound + node.upperBound) / 2
    return (node.lowerBound..<middle, middle..<node.upperBound)
  }

  /// Adds up what the nodes of all ranks have, in the order of the tree.
  ///
  /// - Parameters:
  ///   - value: What a node of some rank has.
  ///   - add: Adds two neighbours, the left one first.
  package func sum<Value>(
    _ value: (_ rank: Int, _ index: Int) -> Value, adding add: (Value, Value) -> Value
  ) -> Value {
    var places: [Node: (rank: Int, index: Int)] = [:]
    for rank in 0..<ranks {
      for (index, node) in nodes(of: rank).enumerated() { places[node] = (rank, index) }
    }
    func sum(_ node: Node) -> Value {
      if let place = places[node] { return value(place.rank, place.index) }
      let (left, right) = Self.halves(node)
      return add(sum(left), sum(right))
    }
    return sum(0..<shares)
  }
}
