/// Sequences end to end, without padding.
///
/// Position `n` reads `ids[n]` and predicts `targets[n]`. Sequence `s` is the positions
/// `starts[s]..<starts[s + 1]`, and no information crosses from one sequence to the next.
package struct Batch: Equatable, Sendable {
  /// Inputs, `[N]`: `<s>` and the tokens of each sentence.
  package private(set) var ids: [Int32] = []

  /// Targets, `[N]`: the tokens and `</s>` of each sentence.
  package private(set) var targets: [Int32] = []

  /// Where the sequences begin, and `N` at the end: `[S + 1]`.
  package private(set) var starts: [Int] = [0]

  /// Targets at the beginning of each sequence that are context for the others and not scored, `[S]`; empty
  /// where every target is.
  package private(set) var context: [Int] = []

  package init() {}

  /// A batch of given sequences.
  ///
  /// - Precondition: `starts` rises from 0 to the number of ids, which is that of targets.
  package init(ids: [Int32], targets: [Int32], starts: [Int]) {
    precondition(
      ids.count == targets.count && starts.first == 0 && starts.last == ids.count
        && zip(starts, starts.dropFirst()).allSatisfy(<),
      "\(ids.count) ids, \(targets.count) targets, starts \(starts)")
    self.ids = ids
    self.targets = targets
    self.starts = starts
  }

  /// Positions, `N`: the terms of the loss.
  package var positions: Int { ids.count }

  /// Sequences, `S`.
  package var sequences: Int { starts.count - 1 }

  /// The positions of a sequence.
  package func range(of sequence: Int) -> Range<Int> { starts[sequence]..<starts[sequence + 1] }

  /// The inputs of a sequence.
  package func inputs(of sequence: Int) -> ArraySlice<Int32> { ids[range(of: sequence)] }

  /// The targets of a sequence; for a whole sentence, its tokens and `</s>`.
  package func targets(of sequence: Int) -> ArraySlice<Int32> { targets[range(of: sequence)] }

  /// The same sequences in so many parts of about equal size, some of them perhaps empty.
  ///
  /// A sequence belongs to the part in which its first position lies: what is in a part follows from the
  /// batch and the number of parts alone.
  ///
  /// - Returns: Every part, and its first position in this batch.
  package func shares(_ count: Int) -> [(batch: Batch, first: Int)] {
    precondition(count > 0, "\(count) parts")
    var shares: [(batch: Batch, first: Int)] = []
    var next = 0
    for share in 0..<count {
      let first = next
      while next < sequences, starts[next] * count < (share + 1) * positions { next += 1 }
      let batch =
        first < next ? (next - first == sequences ? self : slice(first...next - 1)) : Batch()
      shares.append((batch, starts[first]))
    }
    return shares
  }

  /// The same sequences in batches of at most `maximumPositions`, cut between sequences.
  ///
  /// A sequence longer than the maximum is a batch by itself; no sequence is dropped or truncated.
  package func split(maximumPositions: Int) -> [Batch] {
    precondition(maximumPositions > 0)
    if positions <= maximumPositions { return sequences == 0 ? [] : [self] }
    var batches: [Batch] = []
    var first = 0
    for sequence in 0..<sequences {
      let isLast = sequence + 1 == sequences
      if isLast || starts[sequence + 2] - starts[first] > maximumPositions {
        batches.append(slice(first...sequence))
        first = sequence + 1
      }
    }
    return batches
  }

  private func slice(_ sequences: ClosedRange<Int>) -> Batch {
    let start = starts[sequences.lowerBound]
    let range = start..<starts[sequences.upperBound + 1]
    return Batch(
      ids: Array(ids[range]), targets: Array(targets[range]),
      starts: starts[sequences.lowerBound...sequences.upperBound + 1].map { $0 - start })
  }

  mutating func reserve(positions: Int) {
    ids.reserveCapacity(positions)
    targets.reserveCapacity(positions)
  }

  /// The targets of a sequence that are scored.
  package func scored(of sequence: Int) -> Range<Int> {
    starts[sequence] + (context.isEmpty ? 0 : context[sequence])..<starts[sequence + 1]
  }

  /// Targets that are scored.
  package var scoredTargets: Int { positions - context.reduce(0, +) }

  /// Adds a sequence that reads `previous` and then all its targets but the last.
  ///
  /// - Parameters:
  ///   - previous: The token before the first target.
  ///   - sequence: The targets.
  ///   - context: How many of them are not scored.
  mutating func append(previous: Int32, targets sequence: ArraySlice<Int32>, context: Int = 0) {
    if context > 0 || !self.context.isEmpty {
      self.context += [Int](repeating: 0, count: sequences - self.context.count) + [context]
    }
    ids.append(previous)
    ids.append(contentsOf: sequence.dropLast())
    targets.append(contentsOf: sequence)
    starts.append(targets.count)
  }
}
