import Foundation
import Host
package import Tensor

extension ReferenceKernels {
  /// `y = gate / (1 + exp(-gate)) · up`.
  package static func swiGLU(gateUp: Matrix) -> Matrix {
    var y = Matrix(rows: gateUp.rows, columns: gateUp.columns / 2)
    for n in 0..<y.rows {
      for c in 0..<y.columns {
        let gate = gateUp[n, c]
        y[n, c] = gate / (1 + exp(-gate)) * gateUp[n, y.columns + c]
      }
    }
    return y
  }

  /// With s = 1 / (1 + exp(-gate)): `dGate = dy · up · s (1 + gate (1 - s))`, `dUp = dy · gate · s`.
  static func swiGLUBackward(dy: Matrix, gateUp: Matrix) -> Matrix {
    var dGateUp = gateUp
    for n in 0..<dy.rows {
      for c in 0..<dy.columns {
        let (gate, up) = (gateUp[n, c], gateUp[n, dy.columns + c])
        let s = 1 / (1 + exp(-gate))
        dGateUp[n, c] = dy[n, c] * up * s * (1 + gate * (1 - s))
        dGateUp[n, dy.columns + c] = dy[n, c] * gate * s
      }
    }
    return dGateUp
  }
}

extension OracleKernels {
  package func swiGLUForward(y: View, gateUp: View) {
    ReferenceKernels.swiGLU(gateUp: Matrix(of: gateUp)).write(to: y)
  }

  package func swiGLUBackward(dGateUp: View, y: View, dy: View, gateUp: View) {
    let gates = Matrix(of: gateUp)
    let gradient = ReferenceKernels.swiGLUBackward(dy: Matrix(of: dy), gateUp: gates)
    ReferenceKernels.swiGLU(gateUp: gates).write(to: y)
    gradient.write(to: dGateUp)
  }
}
