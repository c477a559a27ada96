import Foundation
import Host
package import Tensor

extension ReferenceKernels {
  /// `x[n, j] + a sin(p · w_j)` and `x[n, C/2 + j] + a cos(p · w_j)`, `w_j = 10000^(-j / (C/2))`.
  static func sinusoidal(x: Matrix, positions: [Int32], amplitude: Double) -> Matrix {
    var y = x
    let half = x.columns / 2
    for n in 0..<x.rows {
      for j in 0..<half {
        let angle = Double(positions[n]) * pow(10_000, -Double(j) / Double(half))
        y[n, j] += amplitude * sin(angle)
        y[n, half + j] += amplitude * cos(angle)
      }
    }
    return y
  }
}

extension OracleKernels {
  package func addSinusoidal(x: View, positions: Indices, amplitude: Double) {
    ReferenceKernels.sinusoidal(
      x: Matrix(of: x), positions: positions.numbers, amplitude: amplitude
    ).write(to: x)
  }
}
