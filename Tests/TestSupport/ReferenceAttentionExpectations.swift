import Host
import Tensor
package import Testing

/// Lengths and widths of a case.
package struct AttentionShape: Sendable, CustomTestStringConvertible {
  package let lengths: [Int]
  package let heads: Int
  package let keyWidth: Int
  package let valueWidth: Int

  package init(lengths: [Int], heads: Int, keyWidth: Int, valueWidth: Int) {
    self.lengths = lengths
    self.heads = heads
    self.keyWidth = keyWidth
    self.valueWidth = valueWidth
  }

  package var testDescription: String { "lengths \(lengths), \(heads)x\(keyWidth)/\(valueWidth)" }
}

/// Compares outputs and all gradients with the twin in Double.
///
/// - Parameter tolerance: Largest error relative to the largest entry; gradients get four times.
package func expectTwin(
  _ variant: AttentionVariant, _ shape: AttentionShape, gain: Double = 1, tolerance: Double = 5e-6,
  sourceLocation: SourceLocation = #_sourceLocation
) {
  let problem = variant.problem(
    lengths: shape.lengths, heads: shape.heads, keyWidth: shape.keyWidth,
    valueWidth: shape.valueWidth, gain: gain)
  let result = variant.run(problem)
  func expect(
    _ name: String, _ actual: [[Double]], _ expected: [[Double]], _ tolerance: Double
  ) {
    let error = relativeError(actual, expected)
    #expect(error < tolerance, "\(name): \(error)", sourceLocation: sourceLocation)
  }
  for head in 0..<shape.heads {
    var dBias = [Double](repeating: 0, count: variant.distances ?? 1)
    for sequence in shape.lengths.indices where shape.lengths[sequence] > 0 {
      let twin = variant.reference(problem, sequence: sequence, head: head)
      let range = problem.starts[sequence]..<problem.starts[sequence + 1]
      expect("o", problem.rows(result.o, sequence: sequence, head: head), twin.o, tolerance)
      expect("lse", [range.map { Double(result.lse[head, $0]) }], [twin.lse], tolerance)
      for (name, view, expected) in [
        ("dq", result.dq, twin.dq), ("dk", result.dk, twin.dk), ("dv", result.dv, twin.dv),
      ] {
        let actual = problem.rows(view, sequence: sequence, head: head)
        expect(name, actual, expected, 4 * tolerance)
      }
      for index in dBias.indices { dBias[index] += twin.dBias[index] }
    }
    if let actual = result.dBias?.rows(head..<head + 1).elements.map(Double.init) {
      expect("dBias", [actual], [dBias], 4 * tolerance)
    }
  }
}
