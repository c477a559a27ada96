import Deterministic
import Tensor

/// Calls `body` with every row and the state of its stream; different streams at a time, one after the
/// other in the same stream.
func forEachStep(
  _ tensors: AttentionTensors, _ states: [any AttentionState],
  _ body: @Sendable (_ row: AttentionTensors, _ state: any AttentionState) -> Void
) {
  if states.count == 1 {
    // Views count references: a row that is all there is stays as it is.
    if tensors.q.rows == 1 { return body(tensors, states[0]) }
    for row in 0..<tensors.q.rows { body(tensors.rows(row..<row + 1), states[0]) }
    return
  }
  precondition(states.count == tensors.q.rows, "\(states.count) states for \(tensors.q.rows) rows")
  // Unsafe because a state need not be Sendable; each belongs to one row, and so to one thread.
  nonisolated(unsafe) let states = states
  parallelFor(states.count) { row in body(tensors.rows(row..<row + 1), states[row]) }
}
