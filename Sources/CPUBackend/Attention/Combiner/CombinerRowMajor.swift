import Deterministic
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
    let tasks = AttentionTasks(starts: views.starts, heads: views.shape.heads)
    let address = views.shape.address
    let longest = CombinerGrid(longest: tasks.longest, segment: views.shape.segment)
    let floats = CombinerRowMajorForward.floats(views.head, address, longest)
    parallelFor(tasks.count) { task in
      Scratch.with(count: floats) { scratch in
        let pass = CombinerRowMajorForward(views.head, address, longest, &scratch)
        views.forEachSequence(tasks.group(task)) { first, length in
          pass.run(
            CombinerHead(views, head: tasks.head(task), first: first),
            CombinerGrid(length: length, width: longest.width), projected: nil)
        }
      }
    }
  }

  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients) {
    if let projection = views.projection {
      CombinerProjectedPass(views, projection).backward(gradients)
      return
    }
    let tasks = AttentionTasks(starts: views.starts, heads: views.shape.heads)
    let address = views.shape.address
    let longest = CombinerGrid(longest: tasks.longest, segment: views.shape.segment)
    let floats = CombinerRowMajorBackward.floats(views.head, address, longest)
    parallelFor(tasks.count) { task in
      let head = tasks.head(task)
      Scratch.with(count: floats) { scratch in
        let pass = CombinerRowMajorBackward(views.head, address, longest, &scratch)
        views.forEachSequence(tasks.group(task)) { first, length in
          gradients.pack(pass.all, views, head: head, first: first, length: length)
          pass.run(
            CombinerHead(views, head: head, first: first),
            CombinerGrid(length: length, width: longest.width))
          gradients.write(pass.all, views, head: head, first: first, length: length)
        }
      }
    }
  }

  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState {
    CombinerRowMajorState(shape, head)
  }
}

extension CombinerViews {
  /// First position and length of every sequence of a group that is not empty.
  func forEachSequence(_ group: Range<Int>, _ body: (_ first: Int, _ length: Int) -> Void) {
    for sequence in group where starts[sequence + 1] > starts[sequence] {
      body(starts[sequence], starts[sequence + 1] - starts[sequence])
    }
  }
}

extension CombinerViewGradients {
  /// Gathers a sequence's rows and clears its gradients.
  func pack(
    _ rows: AttentionGradientRows, _ views: CombinerViews, head: Int, first: Int, length: Int
  ) {
    rows.pack(
      views.q, views.k, views.v, dO, views.o, views.saved, head: head, first: first,
      range: 0..<length, scale: views.shape.scale)
  }

  /// Writes a sequence's finished gradients; `accumulate` adds them.
  func write(
    _ rows: AttentionGradientRows, _ views: CombinerViews, head: Int, first: Int, length: Int,
    accumulate: Bool = false
  ) {
    rows.write(
      dq, dk, dv, head: head, first: first, length: length, scale: views.shape.scale,
      accumulate: accumulate)
  }
}
