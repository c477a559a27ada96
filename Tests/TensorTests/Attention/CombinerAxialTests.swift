import CPUBackend
import Host
import Tensor
import TestSupport
import Testing

/// Row-major, vertical and mixture patterns at the edges of their grids.
@Suite struct CombinerAxialTests {
  /// Row widths and lengths: one token, part of a row, whole rows, one more, ragged; more rows than
  /// columns and the other way round.
  static let grids: [(segment: Int, lengths: [Int])] = [
    (1, [1, 2, 3, 0, 37]),
    (2, [1, 2, 3, 4, 5, 65]),
    (4, [3, 4, 5, 8, 9, 67, 0, 80]),
    (7, [6, 7, 8, 49, 50, 100]),
    (16, [15, 16, 17, 32, 33, 161]),
    (48, [47, 48, 97, 150]),
    (130, [129, 131, 261]),
    (1000, [40, 3]),
  ]

  static let patterns: [AttentionVariant] = [
    .combiner(.rowmajor, segment: 0), .combiner(.rowmajor, segment: 0, address: .none),
    .combiner(.vertical, segment: 0), .combiner(.vertical, segment: 0, pooling: .mean),
    .combiner(.mixture, segment: 0), .combiner(.mixture, segment: 0, pooling: .mean),
  ]

  private func with(_ variant: AttentionVariant, segment: Int) -> AttentionVariant {
    guard case .combiner(let pattern, _, let pooling, let address) = variant else { return variant }
    return .combiner(pattern, segment: segment, pooling: pooling, address: address)
  }

  @Test(arguments: grids.indices, patterns)
  func equalsDefinition(index: Int, pattern: AttentionVariant) {
    let (segment, lengths) = Self.grids[index]
    let shape = AttentionShape(lengths: lengths, heads: 2, keyWidth: 5, valueWidth: 8)
    expectTwin(with(pattern, segment: segment), shape)
  }

  @Test(arguments: [1, 3, 7, 130], patterns)
  func decodingGivesTheBitsOfTheForwardPass(segment: Int, pattern: AttentionVariant) {
    let variant = with(pattern, segment: segment)
    let problem = variant.problem(lengths: [275], heads: 2, keyWidth: 12, valueWidth: 5)
    let result = AttentionResult(problem)
    variant.forward(problem, result)
    #expect(variant.decode(problem).elements == result.o.elements)
  }

  @Test(arguments: patterns, [64, 65])
  func oneRowIsSoftmaxAttention(pattern: AttentionVariant, segment: Int) {
    let problem = pattern.problem(lengths: [64, 1, 17], heads: 2, keyWidth: 16, valueWidth: 8)
    let softmax = AttentionVariant.softmax(distances: nil).run(problem)
    #expect(with(pattern, segment: segment).run(problem).all == softmax.all)
  }

  @Test(arguments: patterns)
  func rowsOfOneTokenAreSoftmaxAttention(pattern: AttentionVariant) {
    let problem = pattern.problem(lengths: [70, 33], heads: 2, keyWidth: 8, valueWidth: 8)
    let softmax = AttentionVariant.softmax(distances: nil).run(problem).all
    for (a, b) in zip(with(pattern, segment: 1).run(problem).all.joined(), softmax.joined()) {
      #expect(abs(a - b) < 2e-5)
    }
  }

  /// Only complete rows are kept beside the own one; columns keep everything.
  @Test(arguments: patterns)
  func statesGrowByRows(pattern: AttentionVariant) throws {
    let problem = pattern.problem(lengths: [1], heads: 1, keyWidth: 16, valueWidth: 16)
    let variant = with(pattern, segment: 8)
    let shape = try #require(variant.combinerShape(problem))
    let stream = DecodedStream(try variant.attention(problem), problem)
    let o = View(rows: 1, columns: 16)
    var bytes = [Int]()
    for _ in 0..<64 {
      stream.step(0, into: o)
      bytes.append(stream.state.bytes)
    }
    let perPosition = (shape.pattern == .mixture ? 6 : 2) * 16 * 4
    #expect(bytes[63] - bytes[7] == 56 * perPosition)
    #expect(bytes == bytes.sorted())
  }
}
