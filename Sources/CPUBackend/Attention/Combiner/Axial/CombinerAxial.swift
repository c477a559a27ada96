import Host
import Tensor

/// Vertical axial Combiner attention: own row and own column directly, every other column above
/// the query's row as one region.
///
///     o_(r,c) = softmax over [k_(r,u), u <= c; k_(t,c), t < r; kbar_(r,u), u != c] of values
///     qbar_(r,u), kbar_(r,u) = pools of q_(t,u), k_(t,u) over t < r
///
/// Ren and others (2021), axial-vertical. Work per token is about 3/2 m + L/m pairs.
enum CombinerVertical: CombinerPass {
  static func runForward(_ views: CombinerViews) { views.runAxialForward(sides: false) }

  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients) {
    views.runAxialBackward(gradients, sides: false)
  }

  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState {
    CombinerAxialState(shape, head, sides: false)
  }
}

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

extension CombinerViews {
  /// Forward pass of `vertical` or, with the regions beside each column, of `mixture`.
  func runAxialForward(sides: Bool) {
    let longest = CombinerGrid(longestOf: self)
    forEachHead(carving: {
      CombinerAxialForward(widths, longest, shape.pooling, sides: sides, &$0)
    }) { pass, head in
      pass.run(head, CombinerGrid(length: head.length, width: longest.width))
    }
  }

  /// Backward pass of both.
  func runAxialBackward(_ gradients: CombinerViewGradients, sides: Bool) {
    let longest = CombinerGrid(longestOf: self)
    forEachHead(carving: {
      CombinerAxialBackward(widths, longest, shape.pooling, sides: sides, &$0)
    }) { pass, head in
      gradients.pack(pass.all, self, head, range: 0..<head.length)
      pass.run(CombinerGrid(length: head.length, width: longest.width))
      gradients.write(pass.all, head, range: 0..<head.length)
    }
  }
}
