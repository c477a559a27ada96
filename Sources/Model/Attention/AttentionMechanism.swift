package import Tensor

/// What one attention gives the decoder: forward, backward, one-step decoding and its cost.
package protocol AttentionMechanism: Sendable {
  /// Distances of the learned bias table, or nil if there is none.
  var biasLength: Int? { get }

  /// Weights of its own, beyond queries, keys, values, output and bias.
  var ownWeights: [AttentionWeight] { get }

  /// Whether it reads the layer's input beside queries, keys and values.
  var readsInput: Bool { get }

  /// Floats per position that the forward pass keeps for the backward pass.
  var savedRows: Int { get }

  /// Fills `o` and `saved` from queries, keys and values of ragged sequences.
  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass, kernels: any Kernels)

  /// Fills the gradients of queries, keys and values, that of the input if it is read, and adds to
  /// those of the bias and of its own weights.
  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass,
    kernels: any Kernels)

  /// An empty cache for one stream of one layer.
  func makeCache(layer: Int, draw: AttentionDraw, kernels: any Kernels) -> any AttentionCache

  /// Work of one layer on one sequence of `length` positions, all heads.
  func work(length: Int) -> AttentionWork
}

extension AttentionMechanism {
  package var biasLength: Int? { nil }
  package var ownWeights: [AttentionWeight] { [] }
  package var readsInput: Bool { false }
}

/// A weight that only one attention has.
package struct AttentionWeight: Sendable {
  /// Name after `self_attn.`.
  package let name: String
  package let rows: Int
  package let columns: Int
  package let isVector: Bool
  /// Standard deviation of the initial values; nil for gains, which start at 1.
  package let deviation: Double?

  package init(
    name: String, rows: Int, columns: Int, isVector: Bool = false, deviation: Double?
  ) {
    self.name = name
    self.rows = rows
    self.columns = columns
    self.isVector = isVector
    self.deviation = deviation
  }
}

/// Floating-point operations, a multiply and an add counted as two, causal pairs once.
package struct AttentionWork: Sendable, Equatable {
  package var forward: Double
  /// Forward and backward, with what the backward pass computes again.
  package var training: Double

  package init(forward: Double, training: Double) {
    self.forward = forward
    self.training = training
  }

  /// Attention by scored pairs: scores and weighted sum forward; scores again and four products
  /// backward.
  package init(pairs: Double, width: Int) {
    self.init(forward: 4 * Double(width) * pairs, training: 14 * Double(width) * pairs)
  }
}

/// What a pass knows beside its tensors.
package struct AttentionPass: Sendable {
  /// First position of every sequence and, last, N.
  package let starts: [Int]
  package let layer: Int
  package let draw: AttentionDraw

  package init(starts: [Int], layer: Int, draw: AttentionDraw) {
    self.starts = starts
    self.layer = layer
    self.draw = draw
  }
}

/// Where the random numbers of a pass come from, for attentions that are random estimates.
package enum AttentionDraw: Sendable, Hashable {
  /// New numbers for every optimizer step; micro-batches of a step share them, so that they add up
  /// to the whole batch.
  case training(seed: UInt64, step: Int)
  /// The same numbers for every position scored or decoded.
  case evaluation(seed: UInt64)
}

/// The views of one layer's attention.
package struct AttentionTensors: Sendable {
  package let q: View  // [N, C]
  package let k: View  // [N, C]
  package let v: View  // [N, C]
  package let bias: View?  // [H, B]
  package let o: View  // [N, C]
  package let saved: View  // [savedRows, N]
  package let input: View  // [N, C], normalised; valid if `readsInput`
  package let own: [View]  // as `ownWeights`

  package init(
    q: View, k: View, v: View, bias: View?, o: View, saved: View, input: View, own: [View]
  ) {
    self.q = q
    self.k = k
    self.v = v
    self.bias = bias
    self.o = o
    self.saved = saved
    self.input = input
    self.own = own
  }
}

/// The gradients that belong to them.
package struct AttentionGradients: Sendable {
  package let dO: View  // [N, C]
  package let dq: View  // [N, C]
  package let dk: View  // [N, C]
  package let dv: View  // [N, C]
  package let dBias: View?  // [H, B]
  package let dInput: View  // [N, C]; overwritten if `readsInput`, untouched otherwise
  package let dOwn: [View]  // as `ownWeights`

  package init(
    dO: View, dq: View, dk: View, dv: View, dBias: View?, dInput: View, dOwn: [View]
  ) {
    self.dO = dO
    self.dq = dq
    self.dk = dk
    self.dv = dv
    self.dBias = dBias
    self.dInput = dInput
    self.dOwn = dOwn
  }
}

/// What one stream has to remember of its past in one layer.
package protocol AttentionCache: AnyObject {
  /// Takes the next position in and attends from it: tensors of one row; `o` is written.
  func step(_ tensors: AttentionTensors)

  /// An independent cache with the same past.
  func copy() -> any AttentionCache

  /// Memory held, in bytes.
  var bytes: Int { get }
}

extension Kernels {
  /// The kernels of one attention.
  ///
  /// A back end may leave an attention out; asking it for that one is a programmer's error.
  package func supporting<Attention>(_ attention: Attention.Type) -> Attention {
    guard let kernels = self as? Attention else {
      preconditionFailure("\(Self.self) does not implement \(attention)")
    }
    return kernels
  }
}
