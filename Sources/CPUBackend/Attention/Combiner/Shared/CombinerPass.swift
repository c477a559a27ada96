import Deterministic
import Host
import Tensor

/// One pattern: its passes over a batch and its state while a text is generated.
protocol CombinerPass {
  /// Fills `o` and `saved`.
  static func runForward(_ views: CombinerViews)
  /// Fills the gradients.
  static func runBackward(_ views: CombinerViews, _ gradients: CombinerViewGradients)
  /// A state without a past.
  static func makeState(_ shape: CombinerShape, _ head: HeadShape) -> any CombinerPatternState
}

/// What one stream has to remember of its past; a value, so that a copy goes its own way.
protocol CombinerPatternState: Sendable {
  /// Appends one position and attends from it; the bits of the forward pass.
  mutating func step(o: View, q: View, k: View, v: View, projection: CombinerProjection?)
  /// Memory held, in bytes.
  var bytes: Int { get }
}

/// Inputs and outputs of a pass over a batch, checked.
struct CombinerViews: Sendable {
  let o: View  // [N, H·E]
  let saved: View  // [savedRows, N], lse first
  let q: View  // [N, H·D]
  let k: View  // [N, H·D]
  let v: View  // [N, H·E]
  let projection: CombinerProjection?
  let starts: [Int]
  let shape: CombinerShape
  let widths: HeadShape
  let tasks: AttentionTasks

  init(_ tensors: AttentionTensors, _ pass: AttentionPass, _ shape: CombinerShape) {
    o = tensors.o
    saved = tensors.saved
    q = tensors.q
    k = tensors.k
    v = tensors.v
    projection = CombinerProjection(tensors)
    starts = pass.sequences.starts
    self.shape = shape
    precondition(
      (projection != nil) == shape.needsProjection, "only projected addresses have a projection")
    precondition(saved.rows >= shape.savedRows, "\(saved.rows) rows cannot hold what is saved")
    widths = checkedShape(o, saved, q, k, v, starts: starts, heads: shape.heads)
    tasks = AttentionTasks(starts: starts, heads: shape.heads)
  }

  /// Runs `body` for every head of every sequence that is not empty, tasks side by side.
  ///
  /// - Parameters:
  ///   - carve: Takes the memory of a task, which serves its sequences one after another.
  ///   - body: The work of one head of one sequence.
  func forEachHead<Pass>(
    carving carve: @Sendable (inout Scratch) -> Pass,
    _ body: @Sendable (Pass, CombinerHead) -> Void
  ) {
    parallelFor(tasks.count) { task in
      Scratch.lend(carving: carve) { pass in
        for sequence in tasks.group(task) where starts[sequence] < starts[sequence + 1] {
          body(pass, CombinerHead(self, head: tasks.head(task), sequence: sequence))
        }
      }
    }
  }
}

/// Gradients of a pass over a batch.
struct CombinerViewGradients: Sendable {
  let dq: View
  let dk: View
  let dv: View
  let dO: View
  let projection: CombinerProjectionGradients?

  /// Gathers the rows of one head and clears their gradients.
  ///
  /// - Parameter range: Positions of the sequence; they become the first rows.
  func pack(
    _ rows: AttentionGradientRows, _ views: CombinerViews, _ head: CombinerHead, range: Range<Int>
  ) {
    rows.pack(
      views.q, views.k, views.v, dO, views.o, views.saved, head: head.number,
      first: head.first + range.lowerBound, range: 0..<range.count, scale: head.scale)
  }

  /// Writes the finished gradients that ``pack(_:_:_:range:)`` began; `accumulate` adds them.
  func write(
    _ rows: AttentionGradientRows, _ head: CombinerHead, range: Range<Int>, accumulate: Bool = false
  ) {
    rows.write(
      dq, dk, dv, head: head.number, first: head.first + range.lowerBound, length: range.count,
      scale: head.scale, accumulate: accumulate)
  }
}
