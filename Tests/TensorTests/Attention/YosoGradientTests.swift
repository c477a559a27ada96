import Deterministic
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

/// The exact slope against central differences, and the lower bound against its formula.
@Suite struct YosoGradientTests {
  private func twin(
    _ own: YosoCase, q: Matrix, k: Matrix, v: Matrix
  ) -> Matrix {
    var result = Matrix(rows: v.rows, columns: v.columns)
    func rows(_ matrix: Matrix, _ head: Int) -> [[Double]] {
      let width = matrix.columns / own.shape.heads
      return (0..<matrix.rows).map { row in
        (0..<width).map { matrix[row, head * width + $0] }
      }
    }
    for head in 0..<own.shape.heads {
      let output = ReferenceYosoAttention(
        q: rows(q, head), k: rows(k, head), v: rows(v, head), bits: own.shape.bits,
        weights: .expectation
      ).forward().o
      for (row, values) in output.enumerated() {
        for (column, value) in values.enumerated() {
          result[row, head * values.count + column] = value
        }
      }
    }
    return result
  }

  @Test(arguments: [1, 2, 5, 8, 13]) func exactSlopeIsTheDerivative(bits: Int) {
    let shape = YosoShape(heads: 2, estimate: .expectation, bits: bits, slope: .exact)
    let own = YosoCase(shape, lengths: [35], keyWidth: 5, valueWidth: 6, seed: UInt64(bits))
    let result = own.run()
    let (q, k, v) = (Matrix(own.problem.q), Matrix(own.problem.k), Matrix(own.problem.v))
    let upstream = Matrix(own.problem.dO)
    expectGradient(result.dq, at: q, upstream: upstream, relative: 1e-4, samples: 60, "dq") {
      twin(own, q: $0, k: k, v: v)
    }
    expectGradient(result.dk, at: k, upstream: upstream, relative: 1e-4, samples: 60, "dk") {
      twin(own, q: q, k: $0, v: v)
    }
    expectGradient(result.dv, at: v, upstream: upstream, relative: 1e-4, samples: 60, "dv") {
      twin(own, q: q, k: k, v: $0)
    }
  }

  @Test(arguments: [
    YosoShape(heads: 2, estimate: .sampled, bits: 3, hashes: 5),
    YosoShape(heads: 2, estimate: .hybrid, bits: 3, hashes: 5, chunk: 8),
    YosoShape(heads: 2, estimate: .expectation, bits: 6),
  ])
  func valueGradientIsExact(shape: YosoShape) {
    // o is scaled to unit length, X is linear in v: the gradient of v is that of the kernel's own
    // output for all estimates.
    let own = YosoCase(shape, lengths: [41, 12], keyWidth: 6, valueWidth: 7)
    let result = own.run()
    let direction = View(rows: own.problem.v.rows, columns: own.problem.v.columns)
    direction.fillGaussian(deviation: 1, from: CounterRandom(seed: 31))
    let start = own.problem.v.elements
    func value(_ factor: Float) -> Double {
      for (index, element) in start.enumerated() {
        let (row, column) = (index / direction.columns, index % direction.columns)
        own.problem.v[row, column] = element + factor * direction[row, column]
      }
      return zip(own.outputs.elements, own.problem.dO.elements).reduce(0) {
        $0 + Double($1.0) * Double($1.1)
      }
    }
    let step: Float = 1e-3
    let near = (value(step) - value(-step)) / Double(2 * step)
    let far = (value(2 * step) - value(-2 * step)) / Double(4 * step)
    let slope = (4 * near - far) / 3
    let expected = zip(result.dv.elements, direction.elements).reduce(0) {
      $0 + Double($1.0) * Double($1.1)
    }
    #expect(abs(slope - expected) < 2e-3 * (1 + abs(expected)), "\(slope), \(expected)")
  }

  @Test func overwritesAndRepeats() {
    let own = YosoCase(
      YosoShape(heads: 2, estimate: .hybrid, bits: 4, hashes: 4, chunk: 16), lengths: [50, 33])
    let result = own.run()
    let once = result.all.map(\.elements)
    own.backward(result)
    #expect(once == result.all.map(\.elements))
    #expect(!once.joined().contains(9))
  }
}
