/// Full causal attention, per sequence and head; never an L×L buffer.
package protocol SoftmaxAttentionKernels: Kernels {
  /// Causal softmax attention.
  ///
  ///     o_i = Σ_{j<=i} softmax_j(scale · <q_i, k_j> + bias[h][min(i-j, columns-1)]) v_j
  ///
  /// Queries, keys and values are usually columns of one matrix. `saved [H, N]` takes the natural log
  /// of each softmax denominator; `bias [H, B]` may be left out.
  func softmaxAttention(_ shape: SoftmaxShape) throws(DeviceError) -> any AttentionOperator
}

/// What makes one softmax attention.
package struct SoftmaxShape: Sendable, Equatable {
  package let heads: Int
  /// Factor of every logit.
  package let scale: Float

  package init(heads: Int, scale: Float) {
    self.heads = heads
    self.scale = scale
  }

  /// Rows of `saved`.
  package var savedRows: Int { heads }
}
