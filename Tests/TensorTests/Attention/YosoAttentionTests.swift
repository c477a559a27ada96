import CPUBackend
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

/// The kernels against the twin in Double.
@Suite struct YosoAttentionTests {
  static let shapes: [YosoShape] = [
    YosoShape(heads: 2, estimate: .expectation, bits: 1),
    YosoShape(heads: 2, estimate: .expectation, bits: 8),
    YosoShape(heads: 1, estimate: .expectation, bits: 5, slope: .exact),
    YosoShape(heads: 2, estimate: .sampled, bits: 2, hashes: 5),
    YosoShape(heads: 1, estimate: .sampled, bits: 8, hashes: 16),
    YosoShape(heads: 2, estimate: .hybrid, bits: 3, hashes: 6, chunk: 16),
    YosoShape(heads: 1, estimate: .hybrid, bits: 4, hashes: 3, chunk: 23),
  ]

  /// Compares everything with the twin, relative to the largest entry.
  private func expectTwin(
    _ own: YosoCase, _ result: YosoResult, _ what: String = "",
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let problem = own.problem
    for head in 0..<own.shape.heads {
      for sequence in 0..<problem.starts.count - 1
      where problem.starts[sequence] < problem.starts[sequence + 1] {
        let twin = own.reference(sequence: sequence, head: head)
        let gradients = twin.backward(
          dO: problem.rows(problem.dO, sequence: sequence, head: head))
        for (name, view, expected, tolerance) in [
          ("o", result.o, twin.forward().o, 2e-5), ("dq", result.dq, gradients.dq, 1e-4),
          ("dk", result.dk, gradients.dk, 1e-4), ("dv", result.dv, gradients.dv, 1e-4),
        ] {
          let actual = problem.rows(view, sequence: sequence, head: head)
          let error = relativeError(actual, expected)
          #expect(
            error < tolerance, "\(what) \(name) of sequence \(sequence), head \(head): \(error)",
            sourceLocation: sourceLocation)
        }
      }
    }
  }

  @Test(arguments: shapes) func equalsTheTwin(shape: YosoShape) {
    let own = YosoCase(shape, lengths: [1, 2, 3, 15, 0, 16, 17, 33, 64, 65, 130])
    let result = own.run()
    expectTwin(own, result)
    #expect(gapsUntouched(result.o))
  }

  /// Moves some keys close to their queries, but not so close that the angle is lost in rounding.
  private func bringTogether(_ own: YosoCase, every step: Int) {
    let (q, k) = (own.problem.q, own.problem.k)
    for row in stride(from: 0, to: q.rows, by: step) {
      for column in 0..<q.columns { k[row, column] = q[row, column] + 0.3 * k[row, column] }
    }
  }

  @Test(arguments: [1, 100, 200]) func everyLength(from: Int) {
    // All lengths 1...257 as ragged batches.
    let lengths = Array(from..<min(from + 100, 258))
    for shape in [
      YosoShape(heads: 1, estimate: .sampled, bits: 3, hashes: 2),
      YosoShape(heads: 1, estimate: .expectation, bits: 2),
      YosoShape(heads: 1, estimate: .hybrid, bits: 3, hashes: 2, chunk: 20),
    ] {
      let own = YosoCase(
        shape, lengths: lengths, keyWidth: 7, valueWidth: 6, seed: UInt64(from))
      expectTwin(own, own.run(), "\(shape.estimate)")
    }
  }

  @Test(arguments: [(1, 1), (3, 5), (64, 64), (17, 40), (24, 8)])
  func anyWidth(widths: (Int, Int)) {
    for shape in [
      YosoShape(heads: 2, estimate: .expectation, bits: 4),
      YosoShape(heads: 2, estimate: .sampled, bits: 3, hashes: 7),
      YosoShape(heads: 2, estimate: .hybrid, bits: 3, hashes: 7, chunk: 32),
    ] where widths.0 > 1 || shape.estimate == .sampled {
      // Vectors of width 1 are parallel, where one rounding of the cosine moves a weight by 1e-3.
      let own = YosoCase(
        shape, lengths: [70, 31], keyWidth: widths.0, valueWidth: widths.1, seed: 4)
      for form in YosoBackwardForm.allCases {
        expectTwin(own, own.run(form: form), "\(shape.estimate), \(form)")
      }
    }
  }

  @Test(arguments: 1...16) func anyNumberOfBits(bits: Int) {
    for estimate in YosoShape.Estimate.allCases {
      let shape = YosoShape(heads: 1, estimate: estimate, bits: bits, hashes: 9, chunk: 10)
      let own = YosoCase(shape, lengths: [80], seed: UInt64(bits))
      // Long codes hardly ever collide by chance: half of the keys are near their queries.
      bringTogether(own, every: 2)
      for form in YosoBackwardForm.allCases {
        expectTwin(own, own.run(form: form), "\(estimate), \(form)")
      }
    }
  }

  @Test(arguments: [1, 3, 4, 33, 300]) func anyNumberOfHashes(hashes: Int) {
    let shape = YosoShape(heads: 1, estimate: .sampled, bits: 1, hashes: hashes)
    let own = YosoCase(shape, lengths: [40, 7], seed: UInt64(hashes))
    for form in YosoBackwardForm.allCases { expectTwin(own, own.run(form: form), "\(form)") }
  }

  @Test(arguments: [1_000, 4_097]) func longSequences(length: Int) {
    let sampled = YosoShape(heads: 1, estimate: .sampled, bits: 4, hashes: 2)
    let own = YosoCase(sampled, lengths: [length], keyWidth: 4, valueWidth: 4)
    for form in YosoBackwardForm.allCases { expectTwin(own, own.run(form: form), "\(form)") }
    let hybrid = YosoShape(heads: 1, estimate: .hybrid, bits: 4, hashes: 2, chunk: 64)
    let mixed = YosoCase(hybrid, lengths: [length], keyWidth: 4, valueWidth: 4)
    expectTwin(mixed, mixed.run(), "hybrid")
    if length == 1_000 {
      let exact = YosoShape(heads: 1, estimate: .expectation, bits: 4, slope: .exact)
      let dense = YosoCase(exact, lengths: [length], keyWidth: 4, valueWidth: 4)
      expectTwin(dense, dense.run(), "expectation")
    }
  }

  @Test(arguments: [
    YosoShape(heads: 1, estimate: .sampled, bits: 8, hashes: 16),
    YosoShape(heads: 1, estimate: .sampled, bits: 12, hashes: 5),
    YosoShape(heads: 1, estimate: .hybrid, bits: 4, hashes: 8, chunk: 40),
  ])
  func formsAgree(shape: YosoShape) {
    let own = YosoCase(shape, lengths: [300], keyWidth: 16, valueWidth: 16, seed: 8)
    bringTogether(own, every: 3)
    let tiles = own.run(form: .tiles)
    let pairs = own.run(form: .pairs)
    func rows(_ view: View) -> [[Double]] { own.problem.rows(view, sequence: 0, head: 0) }
    #expect(relativeError(rows(tiles.dq), rows(pairs.dq)) < 1e-5)
    #expect(relativeError(rows(tiles.dk), rows(pairs.dk)) < 1e-5)
    guard shape.estimate == .sampled else { return }
    let twin = own.reference()
    let x = twin.forward().x
    let dX = ReferenceYosoAttention.project(rows(own.problem.dO), at: x)
    let tables = twin.tableGradients(dX: dX)
    let dq = ReferenceYosoAttention.project(tables.dq, at: twin.q)
    let dk = ReferenceYosoAttention.project(tables.dk, at: twin.k)
    #expect(relativeError(rows(tiles.dq), dq) < 1e-4)
    #expect(relativeError(rows(pairs.dk), dk) < 1e-4)
  }

  @Test func rowsWithoutCollisionAreZeroAndGiveNothing() {
    // Opposite vectors never collide.
    for estimate in [YosoShape.Estimate.sampled, .expectation] {
      let shape = YosoShape(heads: 1, estimate: estimate, bits: 6, hashes: 8)
      let own = YosoCase(shape, lengths: [50], seed: 3)
      for row in 0..<50 {
        for column in 0..<8 {
          own.problem.k[row, column] = 1 + Float(column)
          own.problem.q[row, column] = -1 - Float(column)
        }
      }
      let result = own.run()
      if estimate == .sampled {
        #expect(result.all.allSatisfy { $0.elements.allSatisfy { $0 == 0 } })
      }
      #expect(result.all.allSatisfy { $0.elements.allSatisfy(\.isFinite) })
    }
  }

  @Test(arguments: shapes) func degenerateVectorsStayFinite(shape: YosoShape) {
    let own = YosoCase(shape, lengths: [60], seed: 5)
    own.problem.q.rows(0..<10).fill(0)
    own.problem.k.rows(5..<15).fill(0)
    own.problem.v.rows(12..<20).fill(0)
    // Exactly parallel, and far from unit length.
    own.problem.k.rows(20..<40).copy(from: own.problem.q.rows(20..<40))
    own.problem.q.rows(40..<50).fill(1e18)
    own.problem.k.rows(45..<55).fill(1e-18)
    let result = own.run()
    #expect(result.all.allSatisfy { $0.elements.allSatisfy(\.isFinite) })
    #expect(result.dq.rows(0..<10).elements.allSatisfy { $0 == 0 })
  }
}
