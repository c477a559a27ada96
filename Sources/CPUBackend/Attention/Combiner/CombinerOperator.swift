import Deterministic
package import Tensor

/// Causal Combiner attention (Ren and others, 2021, arXiv 2107.05768), any length.
///
///     o_i = Σ_j w_ij v_j + Σ_r u_ir vbar_r
///     [w_i, u_i] = softmax([scale · <q_i, k_j>, j direct] ++ [scale · <q_i, kbar_r>, r a region])
///     vbar_r = Σ_{j in r} softmax_j(scale · <qbar_r, k_j>) v_j
///
/// with qbar_r and kbar_r pooled over the region. Direct keys and regions partition 0...i, and a
/// region is read only after its last token, so that nothing from later positions enters: the
/// output of row i depends, bit for bit, on rows 0...i of its own sequence alone.
///
/// Saved for the backward pass: o and lse; summaries and weights are recomputed.
extension CPUKernels: CombinerAttentionKernels {
  package func combinerAttention(_ shape: CombinerShape) -> any AttentionOperator {
    CombinerOperator(shape: shape)
  }
}

/// Combiner attention of this processor.
struct CombinerOperator: AttentionOperator {
  let shape: CombinerShape

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    shape.pattern.pass.runForward(CombinerViews(tensors, pass, shape))
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    let views = CombinerViews(tensors, pass, shape)
    let projection = CombinerProjectionGradients(gradients)
    precondition((projection == nil) == (views.projection == nil), "gradients of the projection")
    shape.pattern.pass.runBackward(
      views,
      CombinerViewGradients(
        dq: gradients.dq, dk: gradients.dk, dv: gradients.dv, dO: gradients.dO,
        projection: projection))
  }

  func makeState(_ widths: HeadWidths, layer: Int, draw: AttentionDraw) -> any AttentionState {
    CombinerState(shape, widths)
  }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    forEachStep(tensors, states) { row, state in
      guard let state = state as? CombinerState else {
        preconditionFailure("state of another kind")
      }
      state.step(row)
    }
  }
}

extension CombinerShape.Pattern {
  fileprivate var pass: any CombinerPass.Type {
    switch self {
    case .fixed: CombinerFixed.self
    case .rowmajor: CombinerRowMajor.self
    case .logsparse: CombinerLogSparse.self
    case .vertical: CombinerVertical.self
    case .mixture: CombinerMixture.self
    }
  }
}

/// What one stream remembers of one layer of Combiner attention.
final class CombinerState: AttentionState {
  private let shape: CombinerShape
  private let head: HeadShape
  private var state: any CombinerPatternState

  init(_ shape: CombinerShape, _ widths: HeadWidths) {
    self.shape = shape
    head = HeadShape(keyWidth: widths.keys, valueWidth: widths.values)
    state = shape.pattern.pass.makeState(shape, head)
  }

  private init(_ other: CombinerState) {
    shape = other.shape
    head = other.head
    state = other.state
  }

  func copy() -> any AttentionState { CombinerState(self) }

  var bytes: Int { state.bytes }

  /// Appends one position and attends from it; the bits of the full forward pass.
  func step(_ row: AttentionTensors) {
    let (q, k, v, o) = (row.q, row.k, row.v, row.o)
    let projection = CombinerProjection(row)
    precondition(
      q.columns == shape.heads * head.keyWidth && k.columns == q.columns
        && v.columns == shape.heads * head.valueWidth && o.columns == v.columns,
      "widths of q, k, v or o do not fit \(shape.heads) heads")
    precondition(
      (projection != nil) == shape.needsProjection, "only projected addresses have a projection")
    state.step(o: o, q: q, k: k, v: v, projection: projection)
  }
}
