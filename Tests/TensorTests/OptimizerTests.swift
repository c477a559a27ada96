import CPUBackend
import Deterministic
import Foundation
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels()

@Suite struct AdamWTests {
  @Test(arguments: [1, 7, 8, 1001, 70_003])
  func fiftyStepsMatchTwin(count: Int) {
    let start = randomView(rows: 1, columns: count, seed: 1)
    var twin = ReferenceAdamW(parameters: start.elements.map(Double.init))
    let parameters = duplicate(start)
    let m = View(rows: 1, columns: count)
    let v = View(rows: 1, columns: count)
    let gradients = View(rows: 1, columns: count)
    let (beta1, beta2, epsilon, decay): (Float, Float, Float, Float) = (0.9, 0.95, 1e-8, 0.1)
    for step in 1...50 {
      gradients.fillGaussian(deviation: 0.1, from: CounterRandom(seed: 2, UInt64(step)))
      let rate = Float(0.01) / Float(step)
      kernels.adamW(
        parameters: parameters, gradients: gradients, firstMoment: m, secondMoment: v,
        rate: rate, beta1: beta1, beta2: beta2, epsilon: epsilon, decay: decay, step: step,
        gradientScale: 0.5)
      twin.update(
        gradients: gradients.elements.map { Double($0) * 0.5 }, rate: Double(rate),
        beta1: Double(beta1), beta2: Double(beta2), epsilon: Double(epsilon), decay: Double(decay))
    }
    var expected = Matrix(parameters)
    expected.values = twin.parameters
    expectClose(parameters, expected, relative: 3e-6, absolute: 1e-6, "parameters")
    expected.values = twin.firstMoment
    expectClose(m, expected, relative: 1e-5, absolute: 1e-8, "first moment")
    expected.values = twin.secondMoment
    expectClose(v, expected, relative: 1e-5, absolute: 1e-10, "second moment")
  }

  @Test func threadsDoNotMatter() {
    let count = 150_001
    expectThreadIndependence {
      let p = randomView(rows: 1, columns: count, seed: 1)
      let g = randomView(rows: 1, columns: count, seed: 2)
      let m = randomView(rows: 1, columns: count, seed: 3)
      let v = filledView(rows: 1, columns: count, value: 0.5)
      kernels.adamW(
        parameters: p, gradients: g, firstMoment: m, secondMoment: v, rate: 0.1, beta1: 0.9,
        beta2: 0.99, epsilon: 1e-8, decay: 0.1, step: 3, gradientScale: 1)
      #expect(gapsUntouched(p) && gapsUntouched(m) && gapsUntouched(v))
      return [p, m, v]
    }
  }

  /// After one step the moments cancel: the parameter moves by the rate against the sign.
  @Test func firstStepMovesByTheRate() {
    let p = filledView(rows: 1, columns: 9, value: 1)
    let g = View(rows: 1, columns: 9, elements: [1, -1, 5, -5, 100, 1e-3, -1e-3, 0, 2])
    kernels.adamW(
      parameters: p, gradients: g, firstMoment: View(rows: 1, columns: 9),
      secondMoment: View(rows: 1, columns: 9), rate: 0.01, beta1: 0.9, beta2: 0.999,
      epsilon: 1e-8, decay: 0, step: 1, gradientScale: 1)
    for (moved, gradient) in zip(p.elements, g.elements) {
      let expected: Float = gradient == 0 ? 1 : 1 - (gradient > 0 ? 0.01 : -0.01)
      #expect(abs(moved - expected) < 1e-6)
    }
  }

  /// Decay shrinks the parameter by `1 - rate · decay` whatever the gradient.
  @Test func decayIsDecoupled() {
    let p = filledView(rows: 1, columns: 3, value: 2)
    kernels.adamW(
      parameters: p, gradients: View(rows: 1, columns: 3), firstMoment: View(rows: 1, columns: 3),
      secondMoment: View(rows: 1, columns: 3), rate: 0.1, beta1: 0.9, beta2: 0.999,
      epsilon: 1e-8, decay: 0.5, step: 1, gradientScale: 1)
    #expect(p.elements.allSatisfy { $0 == 1.9 })
  }
}

@Suite struct SumOfSquaresTests {
  @Test(arguments: [0, 1, 7, 33, 511, 513, 65_536, 200_003])
  func matchesDouble(count: Int) {
    let x = randomView(rows: 1, columns: count, seed: 1)
    let expected = x.elements.reduce(0.0) { $0 + Double($1) * Double($1) }
    let sums = [1, 2, 3].map { threads in withThreads(threads) { kernels.sumOfSquares(x) } }
    #expect(abs(sums[0] - expected) <= 2e-7 * expected)
    #expect(sums[0] == sums[1] && sums[0] == sums[2])
  }

  @Test func notANumberReachesTheSum() {
    let x = randomView(rows: 1, columns: 1000, seed: 1)
    x[0, 999] = .nan
    #expect(kernels.sumOfSquares(x).isNaN)
  }
}

@Suite struct MoveAverageTests {
  /// `average += share · (x - average)`, element by element: threads and cuts do not matter.
  @Test func threadsAndPartsDoNotMatter() {
    let count = 150_001
    let start = randomView(rows: 1, columns: count, seed: 1)
    let x = randomView(rows: 1, columns: count, seed: 2)
    expectThreadIndependence {
      let average = duplicate(start)
      kernels.moveAverage(average, towards: x, share: 0.3)
      return [average]
    }
    let whole = duplicate(start)
    kernels.moveAverage(whole, towards: x, share: 0.3)
    let parts = duplicate(start)
    for (first, part) in [(0, 5), (5, 100_003), (100_008, count - 100_008)] {
      func view(_ view: View) -> View {
        View(view.buffer, offset: view.offset + first, rows: 1, columns: part)
      }
      kernels.moveAverage(view(parts), towards: view(x), share: 0.3)
    }
    #expect(parts.elements == whole.elements)
    let (old, towards, new) = (start.elements, x.elements, whole.elements)
    for index in stride(from: 0, to: count, by: 997) {
      let expected = 0.7 * Double(old[index]) + 0.3 * Double(towards[index])
      #expect(abs(Double(new[index]) - expected) < 1e-6)
    }
  }
}
