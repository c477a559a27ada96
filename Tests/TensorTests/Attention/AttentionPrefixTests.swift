import Host
import Tensor
import TestSupport
import Testing

/// Bit for bit: a row's output is a function of the rows up to it in its own sequence.
@Suite struct AttentionPrefixTests {
  static let variants: [AttentionVariant] =
    [.softmax(distances: nil), .softmax(distances: 20)]
    + [2, 6, 16, 64].flatMap {
      [
        AttentionVariant.hierarchical(blockSize: $0, fineQuery: false),
        .hierarchical(blockSize: $0, fineQuery: true),
      ]
    } + AttentionVariant.combiners

  /// Shapes around the tiles, one of them with widths that fill no vector.
  static let shapes = [
    AttentionShape(lengths: [150], heads: 2, keyWidth: 16, valueWidth: 16),
    AttentionShape(lengths: [277], heads: 1, keyWidth: 7, valueWidth: 21),
  ]

  private func problem(_ variant: AttentionVariant, _ shape: AttentionShape) -> AttentionCase {
    variant.problem(
      lengths: shape.lengths, heads: shape.heads, keyWidth: shape.keyWidth,
      valueWidth: shape.valueWidth)
  }

  private func forward(_ variant: AttentionVariant, _ problem: AttentionCase) -> AttentionResult {
    let result = AttentionResult(problem)
    variant.forward(problem, result)
    return result
  }

  @Test(arguments: variants, shapes)
  func laterTokensCannotBeSeen(variant: AttentionVariant, shape: AttentionShape) {
    let problem = problem(variant, shape)
    let before = forward(variant, problem)
    let last = problem.positions - 1
    for (token, size) in [
      (1, Float(100)), (15, 1e4), (16, -1e4), (31, 1e30), (33, 1e4), (64, -1e30), (97, 1e4),
      (128, 1e4), (last, 1e4),
    ] {
      let changed = self.problem(variant, shape)
      for view in [changed.q, changed.k, changed.v] {
        for column in 0..<view.columns { view[token, column] += size }
      }
      let after = forward(variant, changed)
      let past = 0..<token
      #expect(after.o.rows(past).elements == before.o.rows(past).elements, "token \(token)")
      #expect(after.lse.columns(past).elements == before.lse.columns(past).elements)
      let own = token..<token + 1
      #expect(after.o.rows(own).elements != before.o.rows(own).elements)
    }
  }

  @Test(arguments: variants, shapes)
  func prefixesAgree(variant: AttentionVariant, shape: AttentionShape) {
    var problem = problem(variant, shape)
    let whole = forward(variant, problem)
    for length in [1, 2, 5, 15, 16, 17, 31, 32, 33, 64, 65, 100, 127, 128, 129, 149] {
      problem.starts = [0, length]
      let prefix = forward(variant, problem)
      let rows = 0..<length
      #expect(
        prefix.o.rows(rows).elements == whole.o.rows(rows).elements, "length \(length)")
      #expect(prefix.lse.columns(rows).elements == whole.lse.columns(rows).elements)
    }
  }

  /// No length is special: outputs of every prefix of a sequence of 257 are the sequence's own, and
  /// its gradients those of the sequence with nothing asked of the rest.
  @Test(arguments: variants)
  func everyLengthUpTo257(variant: AttentionVariant) {
    var problem = variant.problem(lengths: [257], heads: 1, keyWidth: 8, valueWidth: 8)
    let whole = variant.run(problem)
    for length in (1...256).reversed() {
      problem.dO.rows(length..<length + 1).fill(0)
      problem.starts = [0, 257]
      variant.backward(problem, whole)
      problem.starts = [0, length]
      let prefix = variant.run(problem)
      let rows = 0..<length
      #expect(prefix.o.rows(rows).elements == whole.o.rows(rows).elements, "length \(length)")
      #expect(prefix.lse.columns(rows).elements == whole.lse.columns(rows).elements)
      for (a, b) in [(prefix.dq, whole.dq), (prefix.dk, whole.dk), (prefix.dv, whole.dv)] {
        let pairs = zip(a.rows(rows).elements, b.rows(rows).elements)
        #expect(pairs.allSatisfy { abs($0 - $1) < 1e-5 }, "length \(length)")
      }
    }
  }

  /// Every step up to the length is compared, so that lengths before it are decoded too.
  @Test(arguments: variants)
  func decodingFourThousandSteps(variant: AttentionVariant) {
    let problem = variant.problem(lengths: [4_097], heads: 1, keyWidth: 4, valueWidth: 4)
    #expect(variant.decode(problem).elements == forward(variant, problem).o.elements)
  }

  @Test(arguments: variants, shapes)
  func decodingGivesTheBitsOfTheForwardPass(variant: AttentionVariant, shape: AttentionShape) {
    let problem = problem(variant, shape)
    #expect(variant.decode(problem).elements == forward(variant, problem).o.elements)
  }

  @Test(arguments: variants)
  func sequencesOfABatchAreAlone(variant: AttentionVariant) {
    let lengths = [5, 0, 131, 1, 64, 33, 300]
    let batch = variant.problem(lengths: lengths, heads: 2, keyWidth: 8, valueWidth: 16)
    let together = variant.run(batch)
    var dBias = [Float](repeating: 0, count: batch.bias?.count ?? 0)
    for sequence in lengths.indices {
      let range = batch.starts[sequence]..<batch.starts[sequence + 1]
      let alone = AttentionCase(batch, rows: range)
      let single = variant.run(alone)
      #expect(single.o.elements == together.o.rows(range).elements)
      #expect(single.lse.elements == together.lse.columns(range).elements)
      #expect(single.dq.elements == together.dq.rows(range).elements)
      #expect(single.dk.elements == together.dk.rows(range).elements)
      #expect(single.dv.elements == together.dv.rows(range).elements)
      for (index, value) in (single.dBias?.elements ?? []).enumerated() { dBias[index] += value }
    }
    for (sum, value) in zip(dBias, together.dBias?.elements ?? []) {
      #expect(abs(sum - value) < 1e-4)
    }
  }

  @Test(arguments: variants)
  func threadsDoNotMatter(variant: AttentionVariant) {
    let problem = variant.problem(
      lengths: [300, 20, 250, 40, 513, 1, 90], heads: 3, keyWidth: 16, valueWidth: 8)
    let results = [1, 2, 3].map { threads in withThreads(threads) { variant.run(problem).all } }
    #expect(results[0] == results[1])
    #expect(results[0] == results[2])
  }
}
