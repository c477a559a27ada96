import Tensor
import TestSupport
import Testing

@Suite struct SoftmaxAttentionTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    let lengths: [Int]
    let heads: Int
    let keyWidth: Int
    let valueWidth: Int
    let distances: Int?

    var starts: [Int] { lengths.reduce(into: [0]) { $0.append(($0.last ?? 0) + $1) } }
    var testDescription: String {
      "lengths \(lengths), \(heads)x\(keyWidth)/\(valueWidth), bias \(distances ?? 0)"
    }
  }

  static let shapes = [
    Shape(lengths: [1], heads: 1, keyWidth: 1, valueWidth: 1, distances: nil),
    Shape(lengths: [2, 1], heads: 2, keyWidth: 3, valueWidth: 5, distances: 1),
    Shape(lengths: [7, 0, 9], heads: 2, keyWidth: 8, valueWidth: 8, distances: 4),
    Shape(lengths: [16, 15, 17], heads: 1, keyWidth: 9, valueWidth: 24, distances: 32),
    Shape(lengths: [63, 64, 65], heads: 2, keyWidth: 16, valueWidth: 16, distances: nil),
    Shape(lengths: [33], heads: 3, keyWidth: 64, valueWidth: 64, distances: 200),
    Shape(lengths: [129, 5], heads: 1, keyWidth: 17, valueWidth: 40, distances: 8),
    Shape(lengths: [257], heads: 1, keyWidth: 32, valueWidth: 32, distances: 32),
    Shape(lengths: [1000], heads: 1, keyWidth: 8, valueWidth: 8, distances: 100),
  ]

  static func run(_ problem: AttentionCase) -> AttentionResult {
    let result = AttentionResult(problem)
    let kernels = CPUKernels()
    kernels.softmaxAttentionForward(
      o: result.o, lse: result.lse, q: problem.q, k: problem.k, v: problem.v, bias: problem.bias,
      starts: problem.starts, heads: problem.heads, scale: problem.scale)
    kernels.softmaxAttentionBackward(
      dq: result.dq, dk: result.dk, dv: result.dv, dBias: result.dBias, dO: problem.dO,
      o: result.o, lse: result.lse, q: problem.q, k: problem.k, v: problem.v, bias: problem.bias,
      starts: problem.starts, heads: problem.heads, scale: problem.scale)
    return result
  }

  static func problem(_ shape: Shape, seed: UInt64 = 1, gain: Double = 1) -> AttentionCase {
    AttentionCase(
      starts: shape.starts, heads: shape.heads, keyWidth: shape.keyWidth,
      valueWidth: shape.valueWidth, distances: shape.distances, seed: seed, gain: gain)
  }

  @Test(arguments: shapes, [1.0, 8.0])
  func equalsPlainLoops(shape: Shape, gain: Double) {
    let problem = Self.problem(shape, gain: gain)
    let result = Self.run(problem)
    let tolerance = 1e-5 * gain
    for head in 0..<shape.heads {
      var dBias = [Double](repeating: 0, count: shape.distances ?? 1)
      for sequence in shape.lengths.indices {
        func rows(_ view: View) -> [[Double]] {
          problem.rows(view, sequence: sequence, head: head)
        }
        let reference = ReferenceAttention(
          q: rows(problem.q), k: rows(problem.k), v: rows(problem.v),
          bias: problem.bias?.rows(head..<head + 1).elements.map(Double.init),
          scale: Double(problem.scale))
        let (o, lse) = reference.forward()
        #expect(relativeError(rows(result.o), o) < tolerance)
        let range = problem.starts[sequence]..<problem.starts[sequence + 1]
        let actual = range.map { Double(result.lse[head, $0]) }
        #expect(relativeError([actual], [lse]) < tolerance)
        let gradients = reference.backward(dO: rows(problem.dO))
        #expect(relativeError(rows(result.dq), gradients.dq) < 4 * tolerance)
        #expect(relativeError(rows(result.dk), gradients.dk) < 4 * tolerance)
        #expect(relativeError(rows(result.dv), gradients.dv) < 4 * tolerance)
        for index in dBias.indices { dBias[index] += gradients.dBias[index] }
      }
      if let actual = result.dBias {
        #expect(
          relativeError([actual.rows(head..<head + 1).elements.map(Double.init)], [dBias])
            < 4 * tolerance)
      }
    }
  }
}
