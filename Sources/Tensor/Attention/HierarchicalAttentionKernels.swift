/// Hierarchical attention, per sequence and head; memory linear in the length.
package protocol HierarchicalAttentionKernels: Kernels {
  /// Causal hierarchical attention of H-Transformer-1D (Zhu and Soricut, 2021, arXiv 2107.11906).
  ///
  /// Tensors as in softmax attention; `bias [H, 2·blockSize]`, zero where it is left out. The backward
  /// pass computes the pyramid once more.
  func hierarchicalAttention(_ shape: HierarchicalShape) throws(DeviceError)
    -> any AttentionOperator
}

/// What makes one hierarchical attention.
package struct HierarchicalShape: Sendable, Equatable {
  package let heads: Int
  /// Factor of every logit.
  package let scale: Float
  /// Positions of a block, even.
  package let blockSize: Int
  /// Whether every token has its own query at every level; otherwise a group asks with the query of
  /// its first token, as the published decoder.
  package let fineQuery: Bool

  package init(heads: Int, scale: Float, blockSize: Int, fineQuery: Bool) {
    precondition(blockSize >= 2 && blockSize % 2 == 0, "block size \(blockSize) must be even")
    self.heads = heads
    self.scale = scale
    self.blockSize = blockSize
    self.fineQuery = fineQuery
  }

  /// Rows of `saved`, the natural log of every softmax denominator.
  package var savedRows: Int { heads }

  /// Distances of the bias.
  package var biasLength: Int { 2 * blockSize }
}
