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
  var pass: any CombinerPass.Type {
    switch self {
    case .fixed: CombinerFixed.self
    case .rowmajor: CombinerRowMajor.self
    case .logsparse: CombinerLogSparse.self
    case .vertical: CombinerVertical.self
    case .mixture: CombinerMixture.self
    }
  }
}
