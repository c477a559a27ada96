package import LMData
package import Model

/// The score of one sequence of a batch.
package struct SequenceScore: Sendable {
  /// Pieces and, in sentence mode, the closing `</s>`.
  package let targets: [Int32]
  /// -ln p of every target.
  package let nllNats: [Float]
  /// Their sum in Float64.
  package let nats: Double

  package init(targets: [Int32], nllNats: [Float]) {
    self.targets = targets
    self.nllNats = nllNats
    nats = nllNats.reduce(0) { $0 + Double($1) }
  }
}

/// Scores batches with a model.
///
/// A sequence's figures are the same bits whatever shares its batch, so budgets trade memory for
/// speed and nothing else.
package struct Evaluator {
  private let model: Transformer

  /// Positions scored at a time unless told otherwise.
  package static let defaultPositions = 4_096

  package init(_ model: Transformer) {
    self.model = model
  }

  /// Scores every sequence of a batch, in its order.
  package func score(_ batch: Batch) -> [SequenceScore] {
    guard batch.positions > 0 else { return [] }
    let nll = model.nllNats(ids: batch.ids, targets: batch.targets, starts: batch.starts)
    return zip(batch.starts, batch.starts.dropFirst()).map { start, end in
      SequenceScore(
        targets: Array(batch.targets[start..<end]), nllNats: Array(nll[start..<end]))
    }
  }
}
