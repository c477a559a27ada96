import Tensor

/// All rows of a stream so far: every step asks the definition for the last row of the whole.
final class OracleState: AttentionState {
  let layer: Int
  let draw: AttentionDraw
  private(set) var q: [[Double]] = []  // [L][H·D]
  private(set) var k: [[Double]] = []  // [L][H·D], or a head for each group
  private(set) var v: [[Double]] = []  // [L][H·E]
  /// Inputs of the layer, for attentions that read them, `[L][C]`.
  private(set) var input: [[Double]] = []

  init(layer: Int, draw: AttentionDraw) {
    self.layer = layer
    self.draw = draw
  }

  /// Positions so far.
  var count: Int { q.count }

  private func append(_ row: AttentionTensors) {
    q.append(row.q.values)
    k.append(row.k.values)
    v.append(row.v.values)
    if let row = row.input { input.append(row.values) }
  }

  func copy() -> any AttentionState {
    let other = OracleState(layer: layer, draw: draw)
    (other.q, other.k, other.v, other.input) = (q, k, v, input)
    return other
  }

  var bytes: Int {
    let width = [q, k, v, input].reduce(0) { $0 + ($1.first?.count ?? 0) }
    return count * width * MemoryLayout<Double>.stride
  }

  /// Takes row after row into its stream, and calls `body` after each.
  static func forEachStep(
    _ tensors: AttentionTensors, _ states: [any AttentionState],
    _ body: (_ row: AttentionTensors, _ state: OracleState) -> Void
  ) {
    let rows = tensors.q.rows
    precondition(states.count == rows || states.count == 1, "\(states.count) states, \(rows) rows")
    for row in 0..<rows {
      guard let state = states[states.count == 1 ? 0 : row] as? OracleState else {
        preconditionFailure("a state of another back end")
      }
      let own = tensors.row(row)
      state.append(own)
      body(own, state)
    }
  }
}

extension AttentionTensors {
  /// One row; what is saved does not matter in decoding.
  fileprivate func row(_ row: Int) -> AttentionTensors {
    let own = row..<row + 1
    return AttentionTensors(
      q: q.rows(own), k: k.rows(own), v: v.rows(own), bias: bias, o: o.rows(own), saved: saved,
      input: input?.rows(own), own: self.own)
  }
}
