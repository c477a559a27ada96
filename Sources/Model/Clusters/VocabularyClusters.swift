#if canImport(Glibc)
  import Glibc
#endif

/// The vocabulary cut into ranges of ids, the first of the most frequent tokens: each has its own width of
/// embeddings and its own softmax.
///
/// Head and tails as in Grave et al. (2017, arXiv 1609.04309), widths as in Baevski and Auli (2018,
/// arXiv 1809.10853): with cutoffs c1 < c2 < ..., cluster 0 is `0..<c1` of width C, cluster i is
/// `ci..<c(i+1)` of width C / factor^i. A token t of cluster i > 0 has the probability
///
///     p(t) = p(cluster i | head) · p(t | cluster i)
///
/// where the head is a softmax over the tokens of cluster 0 and one entry for every other cluster.
package struct VocabularyClusters: Sendable, Equatable {
  /// Ids of every cluster.
  package let ranges: [Range<Int>]
  /// Width of its embeddings.
  package let widths: [Int]

  /// Clusters but the first.
  package var tails: Int { ranges.count - 1 }
  /// Rows of the head: tokens of the first cluster, then an entry for every tail.
  package var headRows: Int { ranges[0].count + tails }
  /// Width of the widest tail.
  package var widestTail: Int { widths.dropFirst().max() ?? 0 }
  /// Rows of the largest softmax.
  package var mostRows: Int { ranges.dropFirst().reduce(headRows) { max($0, $1.count) } }

  /// Number, ids and width of every tail.
  var eachTail: [(tail: Int, range: Range<Int>, width: Int)] {
    (0..<tails).map { ($0 + 1, ranges[$0 + 1], widths[$0 + 1]) }
  }

  fileprivate init(vocabularySize: Int, width: Int, cutoffs: [Int], factor: Int) {
    let borders = [0] + cutoffs + [vocabularySize]
    ranges = zip(borders, borders.dropFirst()).map { $0..<$1 }
    var widths = [width]
    for _ in cutoffs { widths.append(max(1, widths[widths.count - 1] / factor)) }
    self.widths = widths
  }

  /// Numbers of tables, projections and entries of the tails, on both sides if the head has its own.
  func parameters(tied: Bool) -> Int {
    let tables = zip(ranges, widths).reduce(0) { $0 + $1.0.count * $1.1 }
    let projections = 2 * widths.dropFirst().reduce(0) { $0 + $1 * widths[0] }
    return (tied ? 1 : 2) * tables + projections + tails * widths[0]
  }

  /// Multiplications of one position in its head, in its tails by how often they are its target's, and in
  /// the projections of its input.
  ///
  /// - Parameter shares: Of positions, by tail.
  package func multiplied(shares: [Double]) -> Double {
    var sum = Double(headRows * widths[0])
    for (tail, share) in zip(1..., shares) {
      let (rows, width) = (Double(ranges[tail].count), Double(widths[tail]))
      sum += share * (rows * width + 2 * width * Double(widths[0]))
    }
    return sum
  }

  /// The share of every tail among tokens.
  ///
  /// - Parameter counts: How often each token occurs.
  package func shares(counts: [Int]) -> [Double] {
    let total = Double(max(1, counts.reduce(0, +)))
    return ranges.dropFirst().map { Double(counts[$0].reduce(0, +)) / total }
  }

  /// The share of every tail among targets.
  package func shares(of targets: [Int32]) -> [Double] {
    var counts = Array(repeating: 0, count: tails)
    for target in targets where target >= ranges[1].lowerBound {
      counts[(1...tails).first { target < ranges[$0].upperBound }.map { $0 - 1 } ?? tails - 1] += 1
    }
    return counts.map { Double($0) / Double(max(1, targets.count)) }
  }

  /// The share of every tail where nobody has counted: that of words by their rank in a text of 21 million
  /// words of news, between the ranks and behind the last along straight lines of both logarithms.
  package var assumedShares: [Double] {
    let measured: [(rank: Double, share: Double)] = [
      (1, 1), (2_000, 0.254), (4_000, 0.183), (8_000, 0.121), (16_000, 0.0737), (30_000, 0.0435),
      (60_000, 0.0201), (80_000, 0.0126),
    ]
    func beyond(_ rank: Int) -> Double {
      if rank >= ranges[tails].upperBound { return 0 }
      let rank = Double(max(1, rank))
      let above = measured.firstIndex { $0.rank > rank } ?? measured.count - 1
      let (low, high) = (measured[above - 1], measured[above])
      let place = log(rank / low.rank) / log(high.rank / low.rank)
      return low.share * pow(high.share / low.share, place)
    }
    return ranges.dropFirst().map { beyond($0.lowerBound) - beyond($0.upperBound) }
  }
}

extension ModelConfig {
  /// The clusters of its vocabulary; nil where there are none.
  package var clusters: VocabularyClusters? {
    guard !cutoffs.isEmpty else { return nil }
    return VocabularyClusters(
      vocabularySize: vocabularySize, width: width, cutoffs: cutoffs, factor: clusterFactor)
  }

  /// The cutoffs for tokens that are words, where nobody says.
  ///
  /// Up to 20,000 words one softmax is as fast. A cutoff with few words behind it saves nothing, so that of
  /// 40,000 begins where a fifth of the list lies beyond. All are for speed on a processor at widths of some
  /// hundreds, where the head is most of a step: Baevski and Auli (2018) have 60,000 and 160,000 for the
  /// 793,471 words of the benchmark, at a width of 1,024.
  package static func defaultCutoffs(words: Int) -> [Int] {
    switch words {
    case ...20_000: []
    case ...50_000: [8_000]
    case ...200_000: [8_000, 40_000]
    default: [8_000, 60_000]
    }
  }
}
