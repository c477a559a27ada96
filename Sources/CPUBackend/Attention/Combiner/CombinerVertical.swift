import Deterministic
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
    let tasks = AttentionTasks(starts: starts, heads: shape.heads)
    let longest = CombinerGrid(longest: tasks.longest, segment: shape.segment)
    let floats = CombinerAxialForward.floats(head, longest, sides: sides)
    parallelFor(tasks.count) { task in
      Scratch.with(count: floats) { scratch in
        let pass = CombinerAxialForward(
          head, longest, shape.pooling, sides: sides, &scratch)
        forEachSequence(tasks.group(task)) { first, length in
          pass.run(
            CombinerHead(self, head: tasks.head(task), first: first),
            CombinerGrid(length: length, width: longest.width))
        }
      }
    }
  }

  /// Backward pass of both.
  func runAxialBackward(_ gradients: CombinerViewGradients, sides: Bool) {
    let tasks = AttentionTasks(starts: starts, heads: shape.heads)
    let longest = CombinerGrid(longest: tasks.longest, segment: shape.segment)
    let floats = CombinerAxialBackward.floats(head, longest, sides: sides)
    parallelFor(tasks.count) { task in
      Scratch.with(count: floats) { scratch in
        let pass = CombinerAxialBackward(
          head, longest, shape.pooling, sides: sides, &scratch)
        forEachSequence(tasks.group(task)) { first, length in
          let head = tasks.head(task)
          gradients.pack(pass.all, self, head: head, first: first, length: length)
          pass.run(CombinerGrid(length: length, width: longest.width))
          gradients.write(pass.all, self, head: head, first: first, length: length)
        }
      }
    }
  }
}
