/// Full causal attention, per sequence and head; never an L×L buffer.
package protocol SoftmaxAttentionKernels: Kernels {
  /// Causal softmax attention.
  ///
  ///     o_i = Σ_{j<=i} softmax_j(scale · <q_i, k_j> + bias[h][min(i-j, columns-1)]) v_j
  ///
  /// `q, k [N, H·D]`, `v, o [N, H·E]`, usually columns of one matrix; `lse [H, N]` is the natural
  /// log of each softmax denominator; `bias [H, B]` or nil.
  func softmaxAttentionForward(
    o: View, lse: View, q: View, k: View, v: View, bias: View?, starts: [Int], heads: Int,
    scale: Float)
  /// `dq, dk, dv = …`, `dBias += …`.
  func softmaxAttentionBackward(
    dq: View, dk: View, dv: View, dBias: View?, dO: View, o: View, lse: View, q: View, k: View,
    v: View, bias: View?, starts: [Int], heads: Int, scale: Float)

  /// The last position of a stream against all `length` of it, the same bits as the full pass.
  /// `o, q [1, C]`, `keys, values [>= length, C]` with the newest position already stored.
  func softmaxAttentionDecode(
    o: View, q: View, keys: View, values: View, bias: View?, length: Int, heads: Int, scale: Float)
}
