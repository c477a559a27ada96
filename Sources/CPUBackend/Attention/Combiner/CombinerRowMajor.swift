import Tensor

/// Row-major Combiner attention: own row directly, every earlier row as its summary for the column.
///
///     P_t = softmax(scale · Q_t K_tᵀ)      S_t = P_t V_t      A_t = P_t K_t, K_t or a projection
///     o_(r,c) = softmax over [own row, causal; A_(t,c), t < r] of [V; S_(t,c)]
///
/// The released code of Ren and others (2021) calls it axial row-major. Work per token is about
/// 7/4 m + L/(2 m) pairs with `wsum`.
enum CombinerRowMajor: CombinerPass {
  static func runForward(_ views: CombinerViews) {
    if let projection = views.projection {
      CombinerProjectedPass(views, projection).forward()
      return
    }
    let longest = CombinerGrid(longestOf: views)
    views.forEachHead(carving: {
      CombinerRowMajorForward(views.widths, views.shape.address, longest, &$0)
    }) { pass, head in
      pass.run(
        head, CombinerGrid(length: head.length, width: longest.width), projected: nil)
    }
  }

  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients) {
    if let projection = views.projection {
      CombinerProjectedPass(views, projection).backward(gradients)
      return
    }
    let longest = CombinerGrid(longestOf: views)
    views.forEachHead(carving: {
      CombinerRowMajorBackward(views.widths, views.shape.address, longest, &$0)
    }) { pass, head in
      gradients.pack(pass.all, views, head, range: 0..<head.length)
      pass.run(head, CombinerGrid(length: head.length, width: longest.width))
      gradients.write(pass.all, head, range: 0..<head.length)
    }
  }

  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState {
    CombinerRowMajorState(shape, head)
  }
}
