import Foundation
import Host
package import Tensor

extension ReferenceKernels {
  /// Pairs `(j, j + D/2)` of every head turned by `position · theta^(-2j/D)`.
  package static func rotary(
    x: Matrix, positions: [Int32], headWidth: Int, theta: Double, inverse: Bool
  ) -> Matrix {
    var y = x
    let half = headWidth / 2
    for n in 0..<x.rows {
      for head in stride(from: 0, to: x.columns, by: headWidth) {
        for j in 0..<half {
          let frequency = pow(theta, -2 * Double(j) / Double(headWidth))
          let angle = Double(positions[n]) * frequency * (inverse ? -1 : 1)
          let (a, b) = (x[n, head + j], x[n, head + half + j])
          y[n, head + j] = a * cos(angle) - b * sin(angle)
          y[n, head + half + j] = b * cos(angle) + a * sin(angle)
        }
      }
    }
    return y
  }
}

extension OracleKernels {
  package func rotary(
    x: View, positions: Indices, headWidth: Int, theta: Double, inverse: Bool
  ) {
    ReferenceKernels.rotary(
      x: Matrix(of: x), positions: positions.numbers, headWidth: headWidth, theta: theta,
      inverse: inverse
    ).write(to: x)
  }
}
