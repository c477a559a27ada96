import Host
package import Tensor

/// The gradients of a `CombinerProjection`, zeroed but for that of the input, which is overwritten.
package struct ProjectionGradients {
  package let dInput: View
  package let dSummaryWeight: View
  package let dAddressWeight: View
  package let dGain: View
  package let dBias: View

  package init(of projection: CombinerProjection) {
    func zeros(_ view: View) -> View { View(rows: view.rows, columns: view.columns) }
    dInput = filledView(
      rows: projection.input.rows, columns: projection.input.columns, value: 9, padding: 2)
    dSummaryWeight = zeros(projection.summaryWeight)
    dAddressWeight = zeros(projection.addressWeight)
    dGain = zeros(projection.gain)
    dBias = zeros(projection.bias)
  }
}

extension AttentionCase {
  package func tensors(
    _ result: AttentionResult, _ projection: CombinerProjection?
  ) -> AttentionTensors {
    AttentionTensors(
      q: q, k: k, v: v, bias: bias, o: result.o, saved: result.lse, input: projection?.input,
      own: projection.map { [$0.summaryWeight, $0.addressWeight, $0.gain, $0.bias] } ?? [])
  }

  package func gradients(
    _ result: AttentionResult, _ projection: ProjectionGradients?
  ) -> AttentionGradients {
    AttentionGradients(
      dO: dO, dq: result.dq, dk: result.dk, dv: result.dv, dBias: result.dBias,
      dInput: projection?.dInput,
      dOwn: projection.map { [$0.dSummaryWeight, $0.dAddressWeight, $0.dGain, $0.dBias] } ?? [])
  }
}
