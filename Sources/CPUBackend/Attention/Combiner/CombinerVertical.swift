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
