package import LMData

/// Batches of whole sentences from real shards, in the order of training.
package struct SentenceBatches: Sendable {
  package let batches: [Batch]

  /// - Parameters:
  ///   - count: Batches.
  ///   - sentences: Sentences of each, as a loader of padded batches counts them.
  ///   - longest: Sentences with more tokens are passed over, by both sides.
  package init(
    _ dataSet: DataSet, split: String, count: Int, sentences: Int, longest: Int = .max
  ) throws {
    let source = try TrainingSource(
      dataSet: dataSet, split: split, seed: 1, mode: .sentences, budget: 1 << 14)
    var batches: [Batch] = []
    var current = Parts()
    while batches.count < count {
      let next = try source.next().batch
      for sequence in 0..<next.sequences where batches.count < count {
        let range = next.range(of: sequence)
        if range.count > longest { continue }
        current.ids += next.ids[range]
        current.targets += next.targets[range]
        current.starts.append(current.ids.count)
        if current.starts.count > sentences {
          batches.append(
            Batch(ids: current.ids, targets: current.targets, starts: current.starts))
          current = Parts()
        }
      }
    }
    self.batches = batches
  }

  private struct Parts {
    var ids: [Int32] = []
    var targets: [Int32] = []
    var starts = [0]
  }

  /// One line a batch: the lengths of its sentences, `</s>` included.
  package var lengths: String {
    batches.map { batch in
      (0..<batch.sequences).map { "\(batch.range(of: $0).count)" }.joined(separator: " ") + "\n"
    }.joined()
  }

  /// Positions a padded batch has for each of ours.
  package var padding: Double {
    let padded = batches.reduce(0) { sum, batch in
      let longest = (0..<batch.sequences).map { batch.range(of: $0).count }.max() ?? 0
      return sum + batch.sequences * longest
    }
    return Double(padded) / Double(batches.reduce(0) { $0 + $1.positions })
  }
}
