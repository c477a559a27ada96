/// One attention of one model on one device: forward, backward and decoding.
///
/// It holds what its kernels need beside the tensors, such as random hyperplanes. A back end makes it
/// from the attention's shape (`SoftmaxAttentionKernels` and its like); the model asks once, when it is
/// built.
package protocol AttentionOperator: Sendable {
  /// Whether passes rotate queries and keys, and turn their gradients back, where
  /// ``AttentionTensors/rotaryTheta`` asks for it; else whoever calls does.
  var rotates: Bool { get }

  /// Fills `o` and `saved` from queries, keys and values of sequences that lie end to end.
  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass)

  /// Fills the gradients of queries, keys and values, that of the input if it is read, and adds to
  /// those of the bias and of weights that only this attention has.
  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass)

  /// A stream of one layer without a past.
  ///
  /// - Parameters:
  ///   - widths: Of a head.
  ///   - layer: Names the random numbers of attentions that draw any, with `draw`.
  ///   - draw: As in the passes that decoding is to equal.
  func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) throws(DeviceError) -> any AttentionState

  /// Takes the next positions of streams in and attends from them.
  ///
  /// - Parameters:
  ///   - tensors: A row for every position; `o` is written.
  ///   - states: One for every row, each another stream; or one for all rows, which follow one another
  ///     in its stream.
  func step(_ tensors: AttentionTensors, _ states: [any AttentionState])
}

extension AttentionOperator {
  package var rotates: Bool { false }
}

/// What one stream has to remember of its past in one layer; belongs to the operator that made it.
package protocol AttentionState: AnyObject {
  /// An independent state with the same past.
  func copy() -> any AttentionState

  /// Memory held, in bytes.
  var bytes: Int { get }
}

/// Widths of one head.
package struct HeadWidths: Sendable, Equatable {
  /// Of queries and keys, D.
  package let keys: Int
  /// Of values and outputs, E.
  package let values: Int

  package init(keys: Int, values: Int) {
    self.keys = keys
    self.values = values
  }
}

/// What a pass knows beside its tensors.
package struct AttentionPass: Sendable {
  package let sequences: Sequences
  package let layer: Int
  package let draw: AttentionDraw

  package init(_ sequences: Sequences, layer: Int, draw: AttentionDraw) {
    self.sequences = sequences
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
  package let q: View  // [N, H·D]
  package let k: View  // [N, H·D]
  package let v: View  // [N, H·E]
  package let bias: View?  // [H, B]
  package let o: View  // [N, H·E]
  package let saved: View  // [savedRows, N], for the backward pass
  package let input: View?  // [N, C], the normalised input of the layer, where it is read
  package let own: [View]  // weights that only this attention has
  /// Base of the angles by which a pass rotates queries and keys first, in place; nil if they are rotated.
  ///
  /// A backward pass finds them rotated.
  package let rotaryTheta: Double?

  package init(
    q: View, k: View, v: View, bias: View? = nil, o: View, saved: View, input: View? = nil,
    own: [View] = [], rotaryTheta: Double? = nil
  ) {
    self.q = q
    self.k = k
    self.v = v
    self.bias = bias
    self.o = o
    self.saved = saved
    self.input = input
    self.own = own
    self.rotaryTheta = rotaryTheta
  }

  /// The same weights with some of the rows.
  package func rows(_ range: Range<Int>) -> AttentionTensors {
    AttentionTensors(
      q: q.rows(range), k: k.rows(range), v: v.rows(range), bias: bias, o: o.rows(range),
      saved: saved.columns(range), input: input?.rows(range), own: own,
      rotaryTheta: rotaryTheta)
  }
}

/// The gradients that belong to them.
package struct AttentionGradients: Sendable {
  package let dO: View  // [N, H·E]
  package let dq: View  // =, [N, H·D]
  package let dk: View  // =, [N, H·D]
  package let dv: View  // =, [N, H·E]
  package let dBias: View?  // +=, [H, B]
  package let dInput: View?  // =, [N, C], where the input is read
  package let dOwn: [View]  // +=, as the weights

  package init(
    dO: View, dq: View, dk: View, dv: View, dBias: View? = nil, dInput: View? = nil,
    dOwn: [View] = []
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
