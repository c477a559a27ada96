import Tensor

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
