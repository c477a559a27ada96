import Tensor

/// Axial mixture: own row and own column directly, and two families of regions under one softmax,
/// the other columns above the query's row, and the parts of every row above left and right of
/// its column.
///
///     o_(r,c) = softmax over the keys of `vertical` and kleft_(t,c), kright_(t,c), t < r
///     kleft_(t,c) = pool of k_(t,u) over u < c,  kright_(t,c) = pool of k_(t,u) over u > c
///
/// Every earlier token that is not met directly is covered twice. That is the released code of Ren
/// and others (2021); their paper averages two attentions instead. Work per token is about
/// 5/2 m + 2 L/m pairs.
enum CombinerMixture: CombinerPass {
  static func runForward(_ views: CombinerViews) { views.runAxialForward(sides: true) }

  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients) {
    views.runAxialBackward(gradients, sides: true)
  }

  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState {
    CombinerAxialState(shape, head, sides: true)
  }
}
