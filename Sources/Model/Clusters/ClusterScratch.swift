import Tensor

/// Memory of the narrow rows of tails, planned with the activations; nothing for a model without clusters.
package struct ClusterScratch: Sendable {
  let projected: View  // [N, widest tail] hidden states or embeddings of one tail
  let gradient: View  // [N, widest tail] their gradient; nothing without a backward pass
  let nllNats: View  // [1, N] of tokens inside their tails, tail after tail

  /// The first columns of a scratch for so many rows, one behind the other.
  static func cut(_ view: View, rows: Int, columns: Int) -> View {
    View(view.buffer, offset: view.offset, rows: rows, columns: columns)
  }
}
