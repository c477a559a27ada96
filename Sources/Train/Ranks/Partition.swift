package import Model
import Tensor

/// How all weights are dealt to ranks: each adds up its part of the gradient, keeps its part of both
/// moments, and moves its part of the weights.
///
/// The weights are cut into segments, which the backward pass finishes one after the other, and every
/// segment into a part for each rank. Elements never meet elements of other places in a sum, so the cuts
/// move no bit; the runs whose squares are summed by themselves (`Squares.run`) are left whole.
package struct Partition: Sendable, Equatable {
  /// A stretch of weights that is exchanged at once.
  package struct Segment: Sendable, Equatable {
    package let range: Range<Int>
    /// The stage of `ParameterLayout.stages` with which the backward pass has all of it.
    package let stage: Int
    /// Where the part of each rank begins, and the end.
    fileprivate let cuts: [Int]

    /// What a rank moves, and keeps the moments of.
    package func owned(by rank: Int) -> Range<Int> { cuts[rank]..<cuts[rank + 1] }

    /// What a rank needs the sum of: also the rest of the run whose squares it adds up.
    package func needed(by rank: Int) -> Range<Int> {
      let owned = owned(by: rank)
      if owned.isEmpty { return owned }
      return owned.lowerBound..<min(range.upperBound, Squares.roundedUp(owned.upperBound))
    }
  }

  /// Weights of a segment at most, where no weight must stay whole.
  private static let most = 1 << 23

  package let ranks: Int
  /// In the order in which the backward pass finishes them, later layers first.
  package let segments: [Segment]

  /// - Parameters:
  ///   - layout: The weights.
  ///   - ranks: How many share them.
  ///   - isWhole: Whether a weight is moved as a whole, by one rank, as Muon's matrices are. Then there is
  ///     one segment: a matrix may begin in a run that the layer before finishes.
  package init(
    _ layout: ParameterLayout, ranks: Int, isWhole: (ParameterSlot) -> Bool = { _ in false }
  ) {
    self.ranks = ranks
    let whole = layout.slots.filter(isWhole)
    if !whole.isEmpty {
      let all = 0..<layout.count
      segments = [
        Segment(
          range: all, stage: 0,
          cuts: Self.cuts(all, ranks: ranks, whole.map { $0.offset..<$0.offset + $0.count }))
      ]
      return
    }
    var segments: [Segment] = []
    var end = layout.count
    for (stage, first) in layout.stages.enumerated().reversed() {
      // What lies before belongs to a run that is not finished yet.
      let begin = min(end, Squares.roundedUp(first))
      // A large one in pieces: what is received of it at once takes memory.
      while begin < end {
        let piece = max(begin, Squares.roundedUp(end - Self.most))..<end
        segments.append(
          Segment(range: piece, stage: stage, cuts: Self.cuts(piece, ranks: ranks, [])))
        end = piece.lowerBound
      }
    }
    self.segments = segments
  }

  /// Of so many numbers, all of them one segment.
  package init(numbers: Int, ranks: Int) {
    self.ranks = ranks
    segments = [
      Segment(
        range: 0..<numbers, stage: 0, cuts: Self.cuts(0..<numbers, ranks: ranks, []))
    ]
  }

  /// Cuts a segment evenly, at runs, or at the ends of weights that stay whole.
  private static func cuts(
    _ range: Range<Int>, ranks: Int, _ whole: [Range<Int>]
  ) -> [Int] {
    let runs = Squares.runs(in: range)
    var cuts = [range.lowerBound]
    for rank in 1..<max(ranks, 1) {
      var cut = min(
        range.upperBound, range.lowerBound + (rank * runs + ranks / 2) / ranks * Squares.run)
      if let weight = whole.first(where: { $0.lowerBound < cut && cut < $0.upperBound }) {
        let isNearer = cut - weight.lowerBound <= weight.upperBound - cut
        cut = isNearer ? weight.lowerBound : weight.upperBound
      }
      cuts.append(max(cut, cuts[cuts.count - 1]))
    }
    return cuts + [range.upperBound]
  }
}

extension Partition {
  /// Numbers that a rank owns of all segments.
  package func count(of rank: Int) -> Int {
    segments.reduce(0) { $0 + $1.owned(by: rank).count }
  }

  /// What a rank owns, in the order of the weights; neighbours are one range.
  package func owned(by rank: Int) -> [Range<Int>] {
    var ranges: [Range<Int>] = []
    for segment in segments.reversed() {
      let own = segment.owned(by: rank)
      if own.isEmpty { continue }
      if let last = ranges.last, last.upperBound == own.lowerBound {
        ranges[ranges.count - 1] = last.lowerBound..<own.upperBound
      } else {
        ranges.append(own)
      }
    }
    return ranges
  }

  /// The runs whose squares a rank adds up, each as the place where it begins.
  package func runs(of rank: Int) -> [Int] {
    owned(by: rank).flatMap { range in
      Array(
        stride(from: Squares.roundedUp(range.lowerBound), to: range.upperBound, by: Squares.run))
    }
  }
}
