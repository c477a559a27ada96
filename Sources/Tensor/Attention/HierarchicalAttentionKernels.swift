/// Hierarchical attention, per sequence and head; memory linear in the length.
package protocol HierarchicalAttentionKernels: Kernels {
  /// Causal hierarchical attention of H-Transformer-1D (Zhu and Soricut, 2021, arXiv 2107.11906).
  ///
  /// Same shapes; `bias [H, 2·blockSize]`. `fineQuery` gives every token its own query at every
  /// level; otherwise a group asks with the query of its first token, as the published decoder.
  func hierarchicalAttentionForward(
    o: View, lse: View, q: View, k: View, v: View, bias: View, starts: [Int], heads: Int,
    scale: Float, blockSize: Int, fineQuery: Bool)
  /// `dq, dk, dv = …`, `dBias += …`; the pyramid is recomputed.
  func hierarchicalAttentionBackward(
    dq: View, dk: View, dv: View, dBias: View, dO: View, o: View, lse: View, q: View, k: View,
    v: View, bias: View, starts: [Int], heads: Int, scale: Float, blockSize: Int, fineQuery: Bool)
}
