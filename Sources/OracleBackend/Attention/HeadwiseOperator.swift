import Tensor

/// An attention whose heads know nothing of each other, by the definition of one.
struct HeadwiseOperator: AttentionOperator {
  let heads: Int
  /// Heads of queries that share a head of keys and values in a stream.
  var group = 1
  let definition: @Sendable (HeadInputs) -> any HeadAttention

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    forEachHead(pass) { range, head in
      let inputs = HeadInputs(tensors, pass, range: range, head: head, of: heads)
      let (o, saved) = definition(inputs).attend(rows: nil)
      tensors.o.rows(range).head(head, of: heads).nested = o
      tensors.saved.rows(head..<head + 1).columns(range).values = saved
    }
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    forEachHead(pass) { range, head in
      func rows(_ view: View) -> View { view.rows(range).head(head, of: heads) }
      let inputs = HeadInputs(tensors, pass, range: range, head: head, of: heads)
      let result = definition(inputs).gradients(dO: rows(gradients.dO).nested)
      rows(gradients.dq).nested = result.dq
      rows(gradients.dk).nested = result.dk
      rows(gradients.dv).nested = result.dv
      guard let dBias = gradients.dBias?.rows(head..<head + 1) else { return }
      dBias.values = zip(dBias.values, result.dBias).map { $0 + $1 }
    }
  }

  private func forEachHead(
    _ pass: AttentionPass, _ body: (_ range: Range<Int>, _ head: Int) -> Void
  ) {
    let starts = pass.sequences.starts
    for (start, end) in zip(starts, starts.dropFirst()) where start < end {
      for head in 0..<heads { body(start..<end, head) }
    }
  }

  func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) -> any AttentionState { OracleState(layer: layer, draw: draw) }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    OracleState.forEachStep(tensors, states) { row, state in
      for head in 0..<heads {
        let inputs = HeadInputs(state, bias: row.bias, head: head, of: heads, group: group)
        let o = definition(inputs).attend(rows: [state.count - 1]).o
        row.o.head(head, of: heads).nested = o
      }
    }
  }
}

/// What one head sees of one sequence.
struct HeadInputs {
  let q: [[Double]]  // [L][D]
  let k: [[Double]]  // [L][D]
  let v: [[Double]]  // [L][E]
  let bias: [Double]?
  let head: Int
  let layer: Int
  let draw: AttentionDraw

  init(
    _ tensors: AttentionTensors, _ pass: AttentionPass, range: Range<Int>, head: Int,
    of heads: Int
  ) {
    func rows(_ view: View) -> [[Double]] { view.rows(range).head(head, of: heads).nested }
    q = rows(tensors.q)
    k = rows(tensors.k)
    v = rows(tensors.v)
    bias = tensors.bias?.rows(head..<head + 1).values
    self.head = head
    layer = pass.layer
    draw = pass.draw
  }

  init(_ state: OracleState, bias: View?, head: Int, of heads: Int, group: Int) {
    func rows(_ x: [[Double]], _ head: Int, of heads: Int) -> [[Double]] {
      x.map { row in
        let width = row.count / heads
        return Array(row[head * width..<(head + 1) * width])
      }
    }
    q = rows(state.q, head, of: heads)
    k = rows(state.k, head / group, of: heads / group)
    v = rows(state.v, head / group, of: heads / group)
    self.bias = bias?.rows(head..<head + 1).values
    self.head = head
    layer = state.layer
    draw = state.draw
  }
}
