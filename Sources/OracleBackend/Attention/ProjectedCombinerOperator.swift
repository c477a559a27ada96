import Host
import Tensor

/// Combiner attention with projected addresses, which all heads make together.
struct ProjectedCombinerOperator: AttentionOperator {
  let shape: CombinerShape

  private func definition(_ tensors: AttentionTensors, _ pass: AttentionPass)
    -> ReferenceProjectedCombiner
  {
    guard let projection = CombinerProjection(tensors) else {
      preconditionFailure("projected addresses without weights")
    }
    return definition(
      (Matrix(of: tensors.q), Matrix(of: tensors.k), Matrix(of: tensors.v)),
      input: Matrix(of: projection.input), projection, starts: pass.sequences.starts)
  }

  private func definition(
    _ qkv: (Matrix, Matrix, Matrix), input: Matrix, _ projection: CombinerProjection, starts: [Int]
  ) -> ReferenceProjectedCombiner {
    ReferenceProjectedCombiner(
      qkv: qkv, input: input,
      own: [
        Matrix(of: projection.summaryWeight), Matrix(of: projection.addressWeight),
        Matrix(of: projection.gain), Matrix(of: projection.bias),
      ], starts: starts, shape: shape, epsilon: Double(projection.epsilon))
  }

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    let (o, lse) = definition(tensors, pass).attend()
    o.write(to: tensors.o)
    lse.write(to: tensors.saved.rows(0..<shape.heads))
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    let result = definition(tensors, pass).backward(dO: Matrix(of: gradients.dO))
    result.dq.write(to: gradients.dq)
    result.dk.write(to: gradients.dk)
    result.dv.write(to: gradients.dv)
    if let dInput = gradients.dInput { result.dInput.write(to: dInput) }
    for (sum, own) in zip(result.dOwn, gradients.dOwn) { sum.add(to: own) }
  }

  func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) -> any AttentionState { OracleState(layer: layer, draw: draw) }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    OracleState.forEachStep(tensors, states) { row, state in
      guard let projection = CombinerProjection(row) else {
        preconditionFailure("projected addresses without weights")
      }
      func matrix(_ rows: [[Double]]) -> Matrix {
        Matrix(rows: rows.count, columns: rows[0].count, values: Array(rows.joined()))
      }
      let past = definition(
        (matrix(state.q), matrix(state.k), matrix(state.v)), input: matrix(state.input),
        projection, starts: [0, state.count])
      let last = state.count - 1
      row.o.values = Array(past.attend(lastOnly: true).o.row(last))
    }
  }
}
