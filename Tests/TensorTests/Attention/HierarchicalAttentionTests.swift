import CPUBackend
import Host
import Tensor
import TestSupport
import Testing

@Suite struct HierarchicalAttentionTests {
  /// Block size and lengths: one token, less than a block, whole blocks, one more, odd, deep.
  static let cases: [(blockSize: Int, lengths: [Int])] = [
    (2, [1, 2, 3, 4, 5, 0, 67]),
    (4, [1, 3, 4, 8, 9, 64, 101]),
    (6, [5, 6, 12, 13, 100]),
    (16, [15, 16, 32, 33, 177, 256]),
    (48, [47, 96, 97, 301]),
    (64, [63, 128, 129, 259]),
    (160, [333, 643]),
  ]

  @Test(arguments: cases.indices, [false, true])
  func equalsDenseDefinition(index: Int, fineQuery: Bool) {
    let (blockSize, lengths) = Self.cases[index]
    let shape = AttentionShape(lengths: lengths, heads: 2, keyWidth: 8, valueWidth: 8)
    expectTwin(.hierarchical(blockSize: blockSize, fineQuery: fineQuery), shape)
  }

  @Test(arguments: [(1, 1), (3, 5), (64, 64), (17, 40), (24, 8)], [false, true])
  func anyWidth(widths: (Int, Int), fineQuery: Bool) {
    let shape = AttentionShape(
      lengths: [150, 31], heads: 2, keyWidth: widths.0, valueWidth: widths.1)
    expectTwin(.hierarchical(blockSize: 16, fineQuery: fineQuery), shape)
  }

  /// Long enough for levels whose blocks outgrow a segment of the backward pass; ragged rows.
  @Test(arguments: [(2, 1_000), (6, 1_001), (16, 1_000), (64, 1_100)], [false, true])
  func manyLevels(shape: (blockSize: Int, length: Int), fineQuery: Bool) {
    expectTwin(
      .hierarchical(blockSize: shape.blockSize, fineQuery: fineQuery),
      AttentionShape(lengths: [shape.length], heads: 1, keyWidth: 11, valueWidth: 21))
  }

  @Test(arguments: [2, 4, 6, 16, 64, 96], [false, true])
  func firstTwoBlocksAreSoftmaxAttention(blockSize: Int, fineQuery: Bool) {
    let variant = AttentionVariant.hierarchical(blockSize: blockSize, fineQuery: fineQuery)
    let problem = variant.problem(
      lengths: [4 * blockSize + 1], heads: 2, keyWidth: 16, valueWidth: 16)
    let hierarchical = AttentionResult(problem)
    variant.forward(problem, hierarchical)
    let softmax = AttentionResult(problem)
    AttentionVariant.softmax(distances: 2 * blockSize).forward(problem, softmax)
    let exact = 0..<2 * blockSize
    #expect(hierarchical.o.rows(exact).elements == softmax.o.rows(exact).elements)
    #expect(hierarchical.lse.columns(exact).elements == softmax.lse.columns(exact).elements)
    #expect(hierarchical.o.elements != softmax.o.elements)
  }

  @Test(arguments: [2, 4, 16], [false, true])
  func flatScoresGiveTheRunningMean(blockSize: Int, fineQuery: Bool) {
    let variant = AttentionVariant.hierarchical(blockSize: blockSize, fineQuery: fineQuery)
    let problem = variant.problem(lengths: [300], heads: 1, keyWidth: 4, valueWidth: 3)
    problem.k.fill(0)
    problem.bias?.fill(0)
    let result = AttentionResult(problem)
    variant.forward(problem, result)
    var sums = [Double](repeating: 0, count: 3)
    for row in 0..<300 {
      for column in 0..<3 {
        sums[column] += Double(problem.v[row, column])
        let mean = sums[column] / Double(row + 1)
        #expect(abs(Double(result.o[row, column]) - mean) < 2e-6)
      }
    }
  }

  @Test func decodeStateGrowsWithTheLogarithm() throws {
    let variant = AttentionVariant.hierarchical(blockSize: 4, fineQuery: false)
    let problem = variant.problem(lengths: [1], heads: 1, keyWidth: 16, valueWidth: 16)
    let stream = DecodedStream(try variant.attention(problem), problem)
    let o = View(rows: 1, columns: 16)
    var bytes = [Int]()
    for position in 1...1024 {
      stream.step(0, into: o)
      if position.nonzeroBitCount == 1 { bytes.append(stream.state.bytes) }
    }
    // 1024 tokens are 256 blocks: levels 0...7.
    #expect(stream.state.bytes == 8 * bytes[0])
    #expect(bytes == bytes.sorted())
  }

  @Test(arguments: [false, true])
  func copiesOfADecodeStateGoTheirOwnWays(fineQuery: Bool) throws {
    let variant = AttentionVariant.hierarchical(blockSize: 4, fineQuery: fineQuery)
    let problem = variant.problem(lengths: [60], heads: 2, keyWidth: 8, valueWidth: 8)
    let expected = variant.decode(problem).elements
    let stream = DecodedStream(try variant.attention(problem), problem)
    let o = View(rows: 60, columns: 16)
    for position in 0..<40 { stream.step(position, into: o) }
    let other = stream.copy()
    for position in 0..<15 { other.step(position, into: o, row: 59) }
    for position in 40..<60 { stream.step(position, into: o) }
    #expect(o.elements == expected)
  }
}
