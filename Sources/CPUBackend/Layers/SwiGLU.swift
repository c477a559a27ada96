import Deterministic
import Host
package import Tensor

/// The gated feed-forward activation (Shazeer, 2020, arXiv 2002.05202).
///
///     y = silu(gate) · up,    silu(g) = g · s,    s = 1 / (1 + exp(-g))
///
/// `gateUp [N, 2F]` holds the gate in its first F columns. `dGateUp` overwrites.
extension CPUKernels {
  /// `y [N, F] = silu(gate) · up`.
  package func swiGLUForward(y: View, gateUp: View) {
    precondition(
      y.rows == gateUp.rows && gateUp.columns == 2 * y.columns,
      "y [\(y.rows), \(y.columns)], gate and up [\(gateUp.rows), \(gateUp.columns)]")
    parallelFor(y.rows, grain: rowGrain(columns: y.columns)) { range in
      let width = y.columns
      let whole = width & ~15
      let rest = width - whole
      for n in range {
        let gate = gateUp.base + n * gateUp.stride
        let up = gate + width
        let to = y.base + n * y.stride
        var index = 0
        while index < whole {
          store(gated(loadWide(gate + index), loadWide(up + index)), to + index)
          index += 16
        }
        if rest > 0 {
          store(
            gated(load(gate + whole, first: rest), load(up + whole, first: rest)), to + whole,
            first: rest)
        }
      }
    }
  }

  /// `dGate = dy · up · s · (1 + gate · (1 - s))`, `dUp = dy · gate · s`; also `y` as forward.
  package func swiGLUBackward(dGateUp: View, y: View, dy: View, gateUp: View) {
    precondition(
      dy.rows == gateUp.rows && gateUp.columns == 2 * dy.columns && y.rows == dy.rows
        && y.columns == dy.columns && dGateUp.rows == gateUp.rows
        && dGateUp.columns == gateUp.columns,
      "dy [\(dy.rows), \(dy.columns)], gate and up [\(gateUp.rows), \(gateUp.columns)]")
    parallelFor(dy.rows, grain: rowGrain(columns: dy.columns)) { range in
      let width = dy.columns
      let whole = width & ~15
      let rest = width - whole
      for n in range {
        let gate = gateUp.base + n * gateUp.stride
        let from = dy.base + n * dy.stride
        let to = dGateUp.base + n * dGateUp.stride
        let again = y.base + n * y.stride
        var index = 0
        while index < whole {
          let (dGate, dUp, value) = gatedGradient(
            loadWide(from + index), loadWide(gate + index), loadWide(gate + width + index))
          store(dGate, to + index)
          store(dUp, to + width + index)
          store(value, again + index)
          index += 16
        }
        if rest > 0 {
          let (dGate, dUp, value) = gatedGradient(
            load(from + whole, first: rest), load(gate + whole, first: rest),
            load(gate + width + whole, first: rest))
          store(dGate, to + whole, first: rest)
          store(dUp, to + width + whole, first: rest)
          store(value, again + whole, first: rest)
        }
      }
    }
  }
}

@inline(__always)
private func gated(_ gate: WideLanes, _ up: WideLanes) -> WideLanes {
  gate * up / (exponential(-gate) + 1)
}

@inline(__always)
private func gatedGradient(_ dy: WideLanes, _ gate: WideLanes, _ up: WideLanes) -> (
  WideLanes, WideLanes, WideLanes
) {
  let divisor = exponential(-gate) + 1
  let sigmoid = 1 / divisor
  let flow = dy * sigmoid
  let slope = WideLanes(repeating: 1).addingProduct(gate, 1 - sigmoid)
  return (flow * up * slope, flow * gate, gate * up / divisor)
}
