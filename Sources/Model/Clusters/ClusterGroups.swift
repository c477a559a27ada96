/// Positions sorted by the cluster of a token that each has, those of one cluster in their order.
struct ClusterGroups {
  /// The positions, cluster after cluster, `[N]`.
  let order: [Int32]
  /// Where the positions of every cluster stand in `order`.
  let parts: [Range<Int>]
  /// The row of every token in the table of its cluster, in the same order.
  let rows: [Int32]

  /// - Parameters:
  ///   - ids: A token a position.
  ///   - clusters: Of the vocabulary.
  init(_ ids: [Int32], _ clusters: VocabularyClusters) {
    func cluster(_ id: Int32) -> Int {
      // Most tokens are in the first, and there are few clusters.
      var cluster = 0
      while id >= clusters.ranges[cluster].upperBound { cluster += 1 }
      return cluster
    }
    var counts = Array(repeating: 0, count: clusters.ranges.count)
    for id in ids { counts[cluster(id)] += 1 }
    var next: [Int] = []
    var parts: [Range<Int>] = []
    for count in counts {
      let start = parts.last?.upperBound ?? 0
      parts.append(start..<start + count)
      next.append(start)
    }
    var order = Array(repeating: Int32(0), count: ids.count)
    var rows = order
    for (position, id) in ids.enumerated() {
      let cluster = cluster(id)
      order[next[cluster]] = Int32(position)
      rows[next[cluster]] = id - Int32(clusters.ranges[cluster].lowerBound)
      next[cluster] += 1
    }
    self.order = order
    self.parts = parts
    self.rows = rows
  }

  /// Where each position stands in `order`, `[N]`.
  var places: [Int32] {
    var places = Array(repeating: Int32(0), count: order.count)
    for (place, position) in order.enumerated() { places[Int(position)] = Int32(place) }
    return places
  }

  /// What the softmax of the head has to find at every position: the token's row, or the entry of its
  /// cluster behind the rows of the first.
  func headTargets(_ clusters: VocabularyClusters) -> [Int32] {
    var targets = Array(repeating: Int32(0), count: order.count)
    for (cluster, part) in parts.enumerated() {
      for place in part {
        targets[Int(order[place])] =
          cluster == 0 ? rows[place] : Int32(clusters.ranges[0].count + cluster - 1)
      }
    }
    return targets
  }
}
