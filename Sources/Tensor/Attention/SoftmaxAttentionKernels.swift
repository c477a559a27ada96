/// Full causal attention, per sequence and head; never an L×L buffer.
package protocol SoftmaxAttentionKernels: Kernels {
  /// Causal softmax attention.
  ///
  ///     o_i = Σ_{j<=i} softmax_j(scale · <q_i, k_j> + bias[h][min(i-j, columns-1)]) v_j
  ///
  /// Queries, keys and values are usually columns of one matrix. `saved [H, N]` takes the natural log
  /// of each softmax denominator; `bias [H, B]` may be left out. A pass has as many heads of keys and values
  /// as of queries; a stream has one of each for a group, ``SoftmaxShape/keyValueHeads``.
  func softmaxAttention(_ shape: SoftmaxShape) throws(DeviceError) -> any AttentionOperator
}

/// What makes one softmax attention.
package struct SoftmaxShape: Sendable, Equatable {
  package let heads: Int
  /// Heads of keys and values of a stream, each of which serves `group` heads of queries that follow one
  /// another; divides the heads.
  package let keyValueHeads: Int
  /// Factor of every logit.
  package let scale: Float

  /// - Parameters:
  ///   - heads: Heads of queries.
  ///   - keyValueHeads: Heads that a stream keeps of keys and values; as many if nil.
  ///   - scale: Factor of every logit.
  package init(heads: Int, keyValueHeads: Int? = nil, scale: Float) {
    self.heads = heads
    self.keyValueHeads = keyValueHeads ?? heads
    self.scale = scale
    precondition(
      self.keyValueHeads > 0 && heads % self.keyValueHeads == 0,
      "\(self.keyValueHeads) heads of keys for \(heads) of queries")
  }

  /// Heads of queries that share a head of keys and values in a stream.
  package var group: Int { heads / keyValueHeads }

  /// Rows of `saved`.
  package var savedRows: Int { heads }
}
