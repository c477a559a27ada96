import Host
import Tensor
import TestSupport
import Testing

@Suite struct SoftmaxAttentionTests {
  static let shapes = [
    AttentionShape(lengths: [1], heads: 1, keyWidth: 1, valueWidth: 1),
    AttentionShape(lengths: [2, 1], heads: 2, keyWidth: 3, valueWidth: 5),
    AttentionShape(lengths: [7, 0, 9], heads: 2, keyWidth: 8, valueWidth: 8),
    AttentionShape(lengths: [16, 15, 17], heads: 1, keyWidth: 9, valueWidth: 24),
    AttentionShape(lengths: [63, 64, 65], heads: 2, keyWidth: 16, valueWidth: 16),
    AttentionShape(lengths: [33], heads: 3, keyWidth: 64, valueWidth: 64),
    AttentionShape(lengths: [129, 5], heads: 1, keyWidth: 17, valueWidth: 40),
    AttentionShape(lengths: [257], heads: 1, keyWidth: 32, valueWidth: 32),
  ]

  @Test(arguments: shapes, [nil, 1, 8, 200])
  func equalsPlainLoops(shape: AttentionShape, distances: Int?) {
    expectTwin(.softmax(distances: distances), shape)
  }

  @Test(arguments: [nil, 100])
  func equalsPlainLoopsAtLengthThousand(distances: Int?) {
    expectTwin(
      .softmax(distances: distances),
      AttentionShape(lengths: [1000], heads: 1, keyWidth: 8, valueWidth: 8))
  }

  @Test func sharpLogitsKeepTheirAccuracy() {
    // Scores of standard deviation 8: rounding of a score of 30 is 2e-6 by itself.
    let shape = AttentionShape(lengths: [70, 41], heads: 2, keyWidth: 16, valueWidth: 16)
    expectTwin(.softmax(distances: 16), shape, gain: 8, tolerance: 1e-4)
  }
}
