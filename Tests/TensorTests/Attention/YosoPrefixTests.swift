import CPUBackend
import Host
import Tensor
import TestSupport
import Testing

/// Bit for bit: a row's output is a function of the rows up to it in its own sequence.
@Suite struct YosoPrefixTests {
  static let shapes: [YosoShape] = [
    YosoShape(heads: 2, estimate: .expectation, bits: 5),
    YosoShape(heads: 2, estimate: .sampled, bits: 3, hashes: 6),
    YosoShape(heads: 1, estimate: .sampled, bits: 9, hashes: 16),
    YosoShape(heads: 2, estimate: .hybrid, bits: 3, hashes: 6, chunk: 16),
    YosoShape(heads: 1, estimate: .hybrid, bits: 4, hashes: 5, chunk: 37),
  ]
  static let widths = [(16, 16), (7, 21)]

  @Test(arguments: shapes, widths)
  func laterTokensCannotBeSeen(shape: YosoShape, widths: (Int, Int)) {
    func make() -> YosoCase {
      YosoCase(shape, lengths: [277], keyWidth: widths.0, valueWidth: widths.1)
    }
    let before = make().outputs
    for (token, size) in [
      (1, Float(100)), (15, 1e4), (16, -1e4), (31, 1e15), (33, 1e4), (64, -1e15), (97, 1e4),
      (128, 1e4), (276, 1e4),
    ] {
      let changed = make()
      for view in [changed.problem.q, changed.problem.k, changed.problem.v] {
        for row in token..<277 {
          for column in 0..<view.columns { view[row, column] += size * Float(1 + row % 3) }
        }
      }
      let after = changed.outputs
      expectSameBits(after.rows(0..<token), before.rows(0..<token), "token \(token)")
      #expect(after.rows(token..<277).elements != before.rows(token..<277).elements)
    }
  }

  @Test(arguments: shapes, widths)
  func prefixesAgree(shape: YosoShape, widths: (Int, Int)) {
    let own = YosoCase(shape, lengths: [150], keyWidth: widths.0, valueWidth: widths.1)
    let whole = own.outputs
    for length in 1..<150 {
      let prefix = YosoCase(
        shape, AttentionCase(own.problem, rows: 0..<length), planes: own.planes)
      expectSameBits(prefix.outputs, whole.rows(0..<length), "length \(length)")
    }
  }

  @Test(arguments: shapes, widths)
  func decodingGivesTheBitsOfTheForwardPass(shape: YosoShape, widths: (Int, Int)) {
    let own = YosoCase(shape, lengths: [277], keyWidth: widths.0, valueWidth: widths.1)
    expectSameBits(own.decode(), own.outputs)
  }

  /// No length up to 257 is special, and every one of 4,097 steps is compared.
  @Test(arguments: shapes) func decodingFourThousandSteps(shape: YosoShape) {
    let own = YosoCase(shape, lengths: [4_097], keyWidth: 4, valueWidth: 4)
    let whole = own.outputs
    expectSameBits(own.decode(), whole)
    for length in 150...257 {
      let prefix = YosoCase(
        shape, AttentionCase(own.problem, rows: 0..<length), planes: own.planes)
      expectSameBits(prefix.outputs, whole.rows(0..<length), "length \(length)")
    }
  }

  @Test(arguments: shapes) func sequencesOfABatchAreAlone(shape: YosoShape) {
    let lengths = [5, 0, 131, 1, 64, 33, 300]
    let batch = YosoCase(shape, lengths: lengths, keyWidth: 8, valueWidth: 16)
    let together = batch.run()
    for sequence in lengths.indices {
      let range = batch.problem.starts[sequence]..<batch.problem.starts[sequence + 1]
      let alone = YosoCase(
        shape, AttentionCase(batch.problem, rows: range), planes: batch.planes
      ).run()
      for (one, all) in zip(alone.all, together.all) { expectSameBits(one, all.rows(range)) }
    }
  }

  @Test(arguments: shapes) func threadsDoNotMatter(shape: YosoShape) {
    let own = YosoCase(
      shape, lengths: [300, 20, 250, 40, 513, 1, 90], keyWidth: 16, valueWidth: 8)
    expectThreadIndependence("\(shape.estimate)") { own.run().all }
  }

  @Test(arguments: shapes) func gradientsDoNotLeak(shape: YosoShape) {
    let own = YosoCase(shape, lengths: [120])
    let before = own.run()
    for cut in [1, 16, 40, 64, 100] {
      let late = YosoCase(shape, lengths: [120])
      late.problem.dO.rows(cut..<120).fill(3)
      let after = late.run()
      expectSameBits(after.dq.rows(0..<cut), before.dq.rows(0..<cut), "dq, cut \(cut)")
      let early = YosoCase(shape, lengths: [120])
      early.problem.dO.rows(0..<cut).fill(3)
      let other = early.run()
      expectSameBits(other.dk.rows(cut..<120), before.dk.rows(cut..<120), "dk, cut \(cut)")
      expectSameBits(other.dv.rows(cut..<120), before.dv.rows(cut..<120), "dv, cut \(cut)")
    }
  }

  @Test(arguments: shapes) func copiesOfADecodeStateGoTheirOwnWays(shape: YosoShape) {
    let own = YosoCase(shape, lengths: [90])
    let expected = own.outputs
    let o = View(rows: 90, columns: expected.columns)
    let dropped = View(rows: 90, columns: expected.columns)
    let stream = own.makeStream()
    for position in 0..<50 { stream.step(position, into: o) }
    let other = stream.copy()
    for position in 0..<30 { other.step(position, into: dropped) }
    for position in 50..<90 { stream.step(position, into: o) }
    expectSameBits(o, expected)
  }

  @Test func sampledStateIsConstant() {
    let own = YosoCase(
      YosoShape(heads: 2, estimate: .sampled, bits: 4, hashes: 3), lengths: [100])
    let stream = own.makeStream()
    let bytes = stream.state.bytes
    #expect(bytes == 2 * 3 * 16 * 16 * 4)
    let o = View(rows: 100, columns: 16)
    for position in 0..<100 { stream.step(position, into: o) }
    #expect(stream.state.bytes == bytes)
  }
}
