import Communication
import Deterministic
import Foundation
package import LMData
package import Model

/// The score of one sequence of a batch.
package struct SequenceScore: Sendable {
  /// Tokens and, in sentence mode, the closing `</s>`.
  package let targets: [Int32]
  /// -ln p of every target.
  package let nllNats: [Float]
  /// Their sum in Float64.
  package let nats: Double
  /// -ln of the probability of all ``WordStarts`` in the place of a target that is one of them, 0 for the
  /// others; empty if it was not asked for.
  package let startNats: [Double]

  package init(targets: [Int32], nllNats: [Float], startNats: [Double] = []) {
    self.targets = targets
    self.nllNats = nllNats
    self.startNats = startNats
    nats = nllNats.reduce(0) { $0 + Double($1) }
  }

  /// What is known of a sequence that another process has scored: the sum.
  init(targets: [Int32], nats: Double) {
    self.targets = targets
    nllNats = []
    startNats = []
    self.nats = nats
  }
}

/// Scores batches with a model.
///
/// A sequence's scores are the same bits whatever shares its batch, so the size of a batch trades
/// memory for speed and changes no result.
package struct Evaluator {
  private let model: Transformer
  private let mode: SequenceMode
  private let wordStarts: WordStarts?
  private let sharesTokens: Bool

  /// The default of positions scored at a time.
  package static let defaultPositions = 4_096

  /// - Parameters:
  ///   - model: Scores.
  ///   - mode: What a sequence is; errors say how to need less memory in it.
  ///   - wordStarts: Tokens whose probability together is wanted wherever one of them stands.
  ///   - sharesTokens: Whether every rank gets the figures of all targets, and not only their sums.
  package init(
    _ model: Transformer, mode: SequenceMode = .sentences, wordStarts: WordStarts? = nil,
    sharesTokens: Bool = false
  ) {
    self.sharesTokens = sharesTokens
    self.model = model
    self.mode = mode
    self.wordStarts = wordStarts
  }

  /// Scores every sequence of a batch, in its order.
  ///
  /// - Parameter place: Where the first sequence stands, for errors.
  /// - Throws: `MemoryShortage` if the batch takes more memory than this process may.
  package func score(_ batch: Batch, place: String? = nil) throws -> [SequenceScore] {
    guard batch.positions > 0 else { return [] }
    try plan(batch.starts, place: place)
    if let wordStarts { return try score(batch, wordStarts) }
    let nll = try model.nllNats(ids: batch.ids, targets: batch.targets, starts: batch.starts)
    return (0..<batch.sequences).map { sequence in
      let range = batch.scored(of: sequence)
      return SequenceScore(targets: Array(batch.targets[range]), nllNats: Array(nll[range]))
    }
  }

  private func score(_ batch: Batch, _ wordStarts: WordStarts) throws -> [SequenceScore] {
    if let others = wordStarts.fewOthers { return try score(batch, wordStarts, others: others) }
    let places = batch.targets.indices.filter { wordStarts[batch.targets[$0]] }
    let width = model.config.vocabularySize
    var startNats = [Double](repeating: 0, count: batch.positions)
    let nll = try startNats.withUnsafeMutableBufferPointer { buffer in
      nonisolated(unsafe) let startNats = buffer
      return try model.nllNats(
        ids: batch.ids, targets: batch.targets, starts: batch.starts, showingLogitsOf: places
      ) { places, first, logits in
        parallelFor(places.count) { index in
          let place = places[places.startIndex + index]
          let row = (place - first) * width
          startNats[place] = wordStarts.nats(logits.span.extracting(row..<row + width))
        }
      }
    }
    return Self.scores(of: batch, nll, startNats)
  }

  /// The same where nearly every token begins a word: their probability is that no other comes next.
  ///
  /// What is asked for is the probability of a token or two, for which a head in clusters needs no softmax over
  /// rare words.
  private func score(
    _ batch: Batch, _ wordStarts: WordStarts, others: [Int32]
  ) throws -> [SequenceScore] {
    let nll = try model.nllNats(ids: batch.ids, targets: batch.targets, starts: batch.starts)
    var taken = [Double](repeating: 0, count: batch.positions)
    for id in others {
      let nats = try model.nllNats(
        ids: batch.ids, targets: Array(repeating: id, count: batch.positions), starts: batch.starts)
      for place in taken.indices { taken[place] += exp(-Double(nats[place])) }
    }
    let startNats = taken.indices.map { place in
      // At most what is next to 1: the logarithm stays finite.
      wordStarts[batch.targets[place]] ? -log1p(-min(taken[place], 1 - 0x1p-53)) : 0
    }
    return Self.scores(of: batch, nll, startNats)
  }

  /// Figures of all positions of a batch, cut into its sequences.
  private static func scores(
    of batch: Batch, _ nll: [Float], _ startNats: [Double]
  ) -> [SequenceScore] {
    (0..<batch.sequences).map { sequence in
      let range = batch.scored(of: sequence)
      return SequenceScore(
        targets: Array(batch.targets[range]), nllNats: Array(nll[range]),
        startNats: Array(startNats[range]))
    }
  }

  /// Scores a batch for every rank at most, each on its own rank; all get the scores of all, in order.
  ///
  /// Sequences that another rank has scored come without the figures of their targets, unless tokens are
  /// shared.
  func score(
    _ batches: [Batch], places: [String?] = [], _ communicator: any Communicator
  ) throws -> [SequenceScore] {
    let rank = communicator.rank
    let own = try communicator.together {
      rank < batches.count
        ? try score(batches[rank], place: rank < places.count ? places[rank] : nil) : []
    }
    if communicator.size == 1 { return own }
    if sharesTokens {
      let nll = try communicator.gather(
        own.flatMap { $0.nllNats.map(Double.init) },
        counts: (0..<communicator.size).map {
          $0 < batches.count ? batches[$0].scoredTargets : 0
        })
      return batches.enumerated().flatMap { index, batch in
        var rest = nll[index][...]
        return (0..<batch.sequences).map { sequence in
          let targets = Array(batch.targets[batch.scored(of: sequence)])
          defer { rest = rest.dropFirst(targets.count) }
          return SequenceScore(
            targets: targets, nllNats: rest.prefix(targets.count).map(Float.init))
        }
      }
    }
    let nats = try communicator.gather(
      own.map(\.nats),
      counts: (0..<communicator.size).map { $0 < batches.count ? batches[$0].sequences : 0 })
    return batches.enumerated().flatMap { index, batch in
      (0..<batch.sequences).map {
        SequenceScore(targets: Array(batch.targets[batch.scored(of: $0)]), nats: nats[index][$0])
      }
    }
  }

  /// Throws `MemoryShortage` unless there is memory for a batch; called before any is allocated.
  ///
  /// - Parameters:
  ///   - starts: First position of every sequence and, last, the positions of the batch.
  ///   - place: Where the first sequence stands.
  func plan(_ starts: [Int], place: String? = nil) throws {
    let positions = starts.last ?? 0
    var purpose = "scoring \(positions) tokens at a time"
    let advice: String
    if starts.count > 2 {
      advice = "give a smaller --batch-tokens"
    } else if mode == .sentences {
      purpose = (place.map { "\($0): " } ?? "") + "scoring a sentence of \(positions) tokens"
      advice =
        "cut this sentence into lines, or make shards of the text with lm-tokenize and read them as a "
        + "stream (lm-eval perplexity --data DIR --context stream --stream-length N)"
    } else {
      advice = "give a smaller --stream-length"
    }
    try model.planScoring(starts: starts, purpose: purpose, advice: advice)
  }
}
