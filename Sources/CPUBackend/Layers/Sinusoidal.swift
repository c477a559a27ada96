import Deterministic
import Foundation
import Host
package import Tensor

extension CPUKernels {
  /// `x[n, j] += a sin(p · w_j)` and `x[n, C/2 + j] += a cos(p · w_j)`, `w_j = 10000^(-j / (C/2))`.
  ///
  /// Vaswani et al., 2017, section 3.5, in the halves layout of Tensor2Tensor. An odd last column
  /// stays as it is. The addition has no gradient of its own.
  package func addSinusoidal(x: View, positions: Indices, amplitude: Double) {
    let positions = positions.numbers
    precondition(positions.count == x.rows, "\(positions.count) positions for \(x.rows) rows")
    let half = x.columns / 2
    let frequencies = (0..<half).map { pow(10_000, -Double($0) / Double(half)) }
    parallelFor(x.rows, grain: 64) { rows in
      let base = x.base
      for row in rows {
        let target = base + row * x.stride
        for j in 0..<half {
          let angle = Double(positions[row]) * frequencies[j]
          target[j] += Float(amplitude * sin(angle))
          target[half + j] += Float(amplitude * cos(angle))
        }
      }
    }
  }
}
