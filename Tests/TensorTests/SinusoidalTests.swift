import CPUBackend
import Deterministic
import Foundation
import Host
import Tensor
import TestSupport
import Testing

struct SinusoidalTests {
  @Test(arguments: [1, 2, 7, 64]) func addsTheFormula(columns: Int) {
    let x = View(rows: 5, columns: columns)
    x.fillGaussian(deviation: 1, from: CounterRandom(seed: 5))
    let before = x.elements
    let positions: [Int32] = [0, 1, 17, 3, 100_000]
    CPUKernels().addSinusoidal(x: x, positions: positions, amplitude: 0.3)
    let half = columns / 2
    for (row, position) in positions.enumerated() {
      for column in 0..<columns {
        var expected = Double(before[row * columns + column])
        if column < 2 * half {
          let angle = Double(position) * pow(10_000, -Double(column % half) / Double(half))
          expected += 0.3 * (column < half ? sin(angle) : cos(angle))
        }
        #expect(abs(Double(x.elements[row * columns + column]) - expected) < 1e-6)
      }
    }
  }
}
