package import Tensor

/// What one attention gives the decoder: forward, backward, one-step decoding and its cost.
package protocol AttentionMechanism: Sendable {
  /// Distances of the learned bias table, or nil if there is none.
  var biasLength: Int? { get }

  /// Fills `o` and `lse` from queries, keys and values of ragged sequences.
  func forward(_ tensors: AttentionTensors, starts: [Int], kernels: any Kernels)

  /// Fills the gradients of queries, keys and values and adds to that of the bias.
  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, starts: [Int],
    kernels: any Kernels)

  /// An empty cache for one stream of one layer.
  func makeCache() -> any AttentionCache

  /// Query–key pairs that one head scores over a sequence of `length` positions.
  func scoredPairs(length: Int) -> Double
}

/// The views of one layer's attention.
package struct AttentionTensors: Sendable {
  package let q: View  // [N, C]
  package let k: View  // [N, C]
  package let v: View  // [N, C]
  package let bias: View?  // [H, B]
  package let o: View  // [N, C]
  package let lse: View  // [H, N], nats
}

/// The gradients that belong to them.
package struct AttentionGradients: Sendable {
  package let dO: View  // [N, C]
  package let dq: View  // [N, C]
  package let dk: View  // [N, C]
  package let dv: View  // [N, C]
  package let dBias: View?  // [H, B]
}

/// What one stream has to remember of its past in one layer.
package protocol AttentionCache: AnyObject {
  /// Takes the next position in and attends from it: `o`, `q`, `k`, `v` are `[1, C]`.
  func step(o: View, q: View, k: View, v: View, bias: View?, kernels: any Kernels)

  /// An independent cache with the same past.
  func copy() -> any AttentionCache

  /// Memory held, in bytes.
  var bytes: Int { get }
}

extension ModelConfig {
  /// The attention of every layer.
  package var mechanism: any AttentionMechanism {
    switch attention {
    case .softmax: SoftmaxAttention(self)
    case .hierarchical(let blockSize, let query):
      HierarchicalAttention(self, blockSize: blockSize, fineQuery: query == .fine)
    }
  }
}
