import CPUBackend
import Deterministic
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

/// What the tests of all attentions do not say about Combiner attention.
@Suite struct CombinerAttentionTests {
  /// Segments and lengths: one token, less than a segment, whole segments, one more, ragged.
  static let fixed: [(segment: Int, lengths: [Int])] = [
    (1, [1, 2, 3, 5, 0, 40]),
    (4, [1, 3, 4, 5, 8, 9, 64, 101]),
    (7, [6, 7, 8, 49, 50, 100]),
    (16, [15, 16, 17, 32, 33, 177, 256]),
    (48, [47, 96, 97, 301]),
    (64, [63, 64, 65, 128, 129, 257]),
    (160, [159, 161, 333]),
  ]

  @Test(arguments: fixed.indices, CombinerShape.Pooling.allCases)
  func fixedEqualsDefinition(index: Int, pooling: CombinerShape.Pooling) {
    let (segment, lengths) = Self.fixed[index]
    let shape = AttentionShape(lengths: lengths, heads: 2, keyWidth: 8, valueWidth: 8)
    expectTwin(.combiner(.fixed, segment: segment, pooling: pooling), shape)
  }

  @Test(arguments: CombinerShape.Pooling.allCases)
  func logsparseEqualsDefinition(pooling: CombinerShape.Pooling) {
    let lengths = [1, 2, 3, 4, 5, 8, 9, 15, 16, 17, 31, 32, 33, 0, 63, 64, 65, 100, 129, 257]
    let shape = AttentionShape(lengths: lengths, heads: 2, keyWidth: 8, valueWidth: 8)
    expectTwin(.combiner(.logsparse, segment: 64, pooling: pooling), shape)
  }

  @Test(arguments: AttentionVariant.combiners, [(1, 1), (3, 5), (64, 64), (17, 40), (24, 8)])
  func anyWidth(variant: AttentionVariant, widths: (Int, Int)) {
    let shape = AttentionShape(
      lengths: [150, 31], heads: 2, keyWidth: widths.0, valueWidth: widths.1)
    expectTwin(variant, shape)
  }

  @Test(arguments: AttentionVariant.combiners)
  func lengthOneThousand(variant: AttentionVariant) {
    expectTwin(variant, AttentionShape(lengths: [1000], heads: 1, keyWidth: 8, valueWidth: 8))
  }

  /// Outputs and gradients of chosen rows of a long sequence, which the twin does one by one.
  @Test(arguments: AttentionVariant.combiners)
  func lengthFourThousand(variant: AttentionVariant) throws {
    let problem = variant.problem(lengths: [4097], heads: 1, keyWidth: 4, valueWidth: 4)
    let rows = [0, 63, 64, 1023, 1024, 3071, 4094, 4095, 4096]
    let dO = problem.dO.elements
    problem.dO.fill(0)
    for row in rows {
      for column in 0..<4 { problem.dO[row, column] = dO[4 * row + column] }
    }
    let result = variant.run(problem)
    let shape = try #require(variant.combinerShape(problem))
    func all(_ view: View) -> [[Double]] { problem.rows(view, sequence: 0, head: 0) }
    let twin = ReferenceCombinerAttention(
      q: all(problem.q), k: all(problem.k), v: all(problem.v), shape: shape)
    let o = all(result.o)
    #expect(relativeError(rows.map { o[$0] }, twin.forward(rows: rows).o) < 1e-5)
    let (dq, dk, dv, _) = twin.backward(dO: all(problem.dO), rows: rows)
    #expect(relativeError(all(result.dq), dq) < 4e-5)
    #expect(relativeError(all(result.dk), dk) < 4e-5)
    #expect(relativeError(all(result.dv), dv) < 4e-5)
  }

  /// Everything later goes wild; bits before stay, and no gradient of an earlier output is there.
  @Test(arguments: AttentionVariant.combiners)
  func theFutureDoesNotExist(variant: AttentionVariant) {
    let length = 140
    func problem() -> AttentionCase {
      variant.problem(lengths: [length], heads: 2, keyWidth: 8, valueWidth: 8)
    }
    let before = variant.run(problem())
    for cut in [1, 2, 7, 15, 16, 17, 31, 48, 63, 64, 65, 96, 127, 128, 139] {
      let changed = problem()
      let later = cut..<length
      for (index, view) in [changed.q, changed.k, changed.v].enumerated() {
        let random = CounterRandom(seed: 7, UInt64(index))
        for row in later {
          for column in 0..<view.columns {
            let wild = random.gaussian(UInt64(row * view.columns + column))
            view[row, column] = Float(1e3 * wild)
          }
        }
      }
      changed.dO.rows(later).fill(0)
      let after = variant.run(changed)
      let past = 0..<cut
      #expect(after.o.rows(past).elements == before.o.rows(past).elements, "cut \(cut)")
      for gradient in [after.dq, after.dk, after.dv] {
        #expect(gradient.rows(later).elements.allSatisfy { $0 == 0 }, "cut \(cut)")
      }
    }
  }

  @Test(arguments: [1, 2, 5, 16, 30, 64])
  func oneSegmentIsSoftmaxAttention(length: Int) {
    let variant = AttentionVariant.combiner(.fixed, segment: 64)
    let problem = variant.problem(lengths: [length], heads: 2, keyWidth: 16, valueWidth: 8)
    let softmax = AttentionVariant.softmax(distances: nil).run(problem)
    #expect(variant.run(problem).all == softmax.all)
  }

  @Test(arguments: CombinerShape.Pooling.allCases)
  func segmentsOfOneTokenAreSoftmaxAttention(pooling: CombinerShape.Pooling) {
    let variant = AttentionVariant.combiner(.fixed, segment: 1, pooling: pooling)
    let problem = variant.problem(lengths: [70, 33], heads: 2, keyWidth: 8, valueWidth: 8)
    let softmax = AttentionVariant.softmax(distances: nil).run(problem).all
    for (a, b) in zip(variant.run(problem).all.joined(), softmax.joined()) {
      #expect(abs(a - b) < 2e-5)
    }
  }

  /// Small integers tie in most channels: the gradient goes to the first of the largest.
  @Test(arguments: AttentionVariant.combiners)
  func tiesGoToTheLowestPosition(variant: AttentionVariant) {
    let problem = variant.problem(lengths: [90], heads: 1, keyWidth: 8, valueWidth: 8)
    for view in [problem.q, problem.k] {
      for row in 0..<90 {
        for column in 0..<8 { view[row, column] = (2 * view[row, column]).rounded() / 2 }
      }
    }
    let result = variant.run(problem)
    let twin = variant.reference(problem, sequence: 0, head: 0)
    for (view, expected) in [(result.o, twin.o), (result.dq, twin.dq), (result.dk, twin.dk)] {
      #expect(relativeError(problem.rows(view, sequence: 0, head: 0), expected) < 2e-5)
    }
  }

  /// Central differences of the twin, so that its own gradients stand on the definition alone.
  @Test(arguments: AttentionVariant.combiners)
  func twinAgreesWithItsDifferences(variant: AttentionVariant) throws {
    let problem = variant.problem(lengths: [53], heads: 1, keyWidth: 3, valueWidth: 2)
    let shape = try #require(variant.combinerShape(problem))
    func all(_ view: View) -> [[Double]] { problem.rows(view, sequence: 0, head: 0) }
    let dO = all(problem.dO)
    let twin = ReferenceCombinerAttention(
      q: all(problem.q), k: all(problem.k), v: all(problem.v), shape: shape)
    let (dq, dk, dv, _) = twin.backward(dO: dO)
    func value(_ twin: ReferenceCombinerAttention) -> Double {
      zip(twin.forward().o.joined(), dO.joined()).reduce(0) { $0 + $1.0 * $1.1 }
    }
    for (path, gradient) in [
      (\ReferenceCombinerAttention.q, dq), (\.k, dk), (\.v, dv),
    ] {
      for index in stride(from: 0, to: 53, by: 6) {
        var (above, below) = (twin, twin)
        let column = index % gradient[0].count
        above[keyPath: path][index][column] += 1e-5
        below[keyPath: path][index][column] -= 1e-5
        let slope = (value(above) - value(below)) / 2e-5
        #expect(abs(slope - gradient[index][column]) < 1e-7)
      }
    }
  }

  @Test(arguments: AttentionVariant.combiners)
  func copiesOfADecodeStateGoTheirOwnWays(variant: AttentionVariant) throws {
    let problem = variant.problem(lengths: [60], heads: 2, keyWidth: 8, valueWidth: 8)
    let expected = variant.decode(problem).elements
    let stream = DecodedStream(try variant.attention(problem), problem)
    let o = View(rows: 60, columns: 16)
    for position in 0..<40 { stream.step(position, into: o) }
    let other = stream.copy()
    for position in 0..<15 { other.step(position, into: o, row: 59) }
    for position in 40..<60 { stream.step(position, into: o) }
    #expect(o.elements == expected)
    #expect(stream.state.bytes > 0)
  }

  @Test func fixedStateForgetsFinishedSegments() throws {
    let variant = AttentionVariant.combiner(.fixed, segment: 16)
    let problem = variant.problem(lengths: [1], heads: 1, keyWidth: 16, valueWidth: 16)
    let stream = DecodedStream(try variant.attention(problem), problem)
    let o = View(rows: 1, columns: 16)
    for _ in 0..<1024 { stream.step(0, into: o) }
    // 16 positions, 64 summaries of a key and a value each, and two pools.
    #expect(stream.state.bytes == 4 * (2 * 16 * (16 + 64) + 2 * 16))
  }
}
