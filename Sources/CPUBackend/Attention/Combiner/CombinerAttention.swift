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
extension CPUKernels: CombinerKernels {
  package func combinerAttentionForward(
    o: View, saved: View, q: View, k: View, v: View, projection: CombinerProjection?,
    starts: [Int], shape: CombinerShape
  ) {
    let views = CombinerViews(
      o: o, saved: saved, q: q, k: k, v: v, projection: projection, starts: starts, shape)
    shape.pattern.pass.runForward(views)
  }

  package func combinerAttentionBackward(
    dq: View, dk: View, dv: View, dProjection: CombinerProjectionGradients?, dO: View, o: View,
    saved: View, q: View, k: View, v: View, projection: CombinerProjection?, starts: [Int],
    shape: CombinerShape
  ) {
    precondition((dProjection == nil) == (projection == nil), "gradients of the projection")
    let views = CombinerViews(
      o: o, saved: saved, q: q, k: k, v: v, projection: projection, starts: starts, shape)
    let gradients = CombinerViewGradients(
      dq: dq, dk: dk, dv: dv, dO: dO, projection: dProjection)
    shape.pattern.pass.runBackward(views, gradients)
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

/// Cache of one layer of Combiner attention while a text is generated.
package struct CombinerDecodeState: Sendable {
  package let shape: CombinerShape
  /// Positions seen so far.
  package private(set) var length = 0
  private let head: HeadShape
  private var state: any CombinerPatternState

  /// An empty state for heads with queries of width D and values of width E.
  package init(_ shape: CombinerShape, keyWidth: Int, valueWidth: Int) {
    self.shape = shape
    head = HeadShape(keyWidth: keyWidth, valueWidth: valueWidth)
    state = shape.pattern.pass.makeState(shape, head)
  }

  /// An independent state with the same past.
  package func copy() -> CombinerDecodeState { self }

  /// Memory of the state, in bytes.
  package var bytes: Int { state.bytes }

  /// Appends one position and attends from it; the bits of the full forward pass.
  ///
  /// - Parameters:
  ///   - o: Output, `[1, H·E]`.
  ///   - q: Query, `[1, H·D]`.
  ///   - k: Key, `[1, H·D]`.
  ///   - v: Value, `[1, H·E]`.
  ///   - projection: With the one row of input that belongs to the position.
  package mutating func step(
    o: View, q: View, k: View, v: View, projection: CombinerProjection? = nil
  ) {
    precondition(
      q.columns == shape.heads * head.keyWidth && k.columns == q.columns
        && v.columns == shape.heads * head.valueWidth && o.columns == v.columns,
      "widths of q, k, v or o do not fit \(shape.heads) heads")
    precondition(
      (projection != nil) == shape.needsProjection, "only projected addresses have a projection")
    state.step(o: o, q: q, k: k, v: v, projection: projection)
    length += 1
  }
}
