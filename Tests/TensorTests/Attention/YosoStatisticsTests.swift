import CPUBackend
import Deterministic
import Foundation
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

/// What random hashes promise on average; all draws are seeded.
@Suite struct YosoStatisticsTests {
  /// The rows of X, from o and the lengths that the forward pass saves.
  private func sums(_ own: YosoCase, _ result: YosoResult) -> [[Double]] {
    let unit = own.shape.isRandom ? Double(own.shape.hashes) : 1
    return (0..<result.o.rows).map { row in
      (0..<result.o.columns).map {
        Double(result.o[row, $0]) * Double(result.saved[0, row]) / unit
      }
    }
  }

  private func relativeDistance(_ a: [[Double]], _ b: [[Double]]) -> Double {
    var difference = 0.0
    var size = 0.0
    for (x, y) in zip(a.joined(), b.joined()) {
      difference += (x - y) * (x - y)
      size += y * y
    }
    return (difference / size).squareRoot()
  }

  /// `sqrt(Σ w (1 - w) |v|²) / |X|`: the error at one hash if the values are unrelated.
  private func theory(_ own: YosoCase, _ x: [[Double]]) -> Double {
    var variance = 0.0
    let v = own.problem.rows(own.problem.v, sequence: 0, head: 0)
    forPairs(own) { i, j, w in
      variance += w * (1 - w) * v[j].reduce(0) { $0 + $1 * $1 }
    }
    let size = x.joined().reduce(0) { $0 + $1 * $1 }
    return (variance / size).squareRoot()
  }

  private func forPairs(_ own: YosoCase, _ body: (Int, Int, Double) -> Void) {
    // One value of width 1 at a time: the twin's X is then the weight itself.
    let q = own.problem.rows(own.problem.q, sequence: 0, head: 0)
    let k = own.problem.rows(own.problem.k, sequence: 0, head: 0)
    for i in q.indices {
      for j in 0...i {
        let twin = ReferenceYosoAttention(
          q: [q[i]], k: [k[j]], v: [[1]], bits: own.shape.bits, weights: .expectation)
        body(i, j, twin.forward().x[0][0])
      }
    }
  }

  /// Normal number `index` as `scripts/reference/yoso_ref.py` takes it from a stream.
  private func referenceGaussian(_ random: CounterRandom, _ index: UInt64) -> Double {
    let pair = index & ~1
    let radius = (-2 * log((Double(random.bits(pair) >> 11) + 1) * 0x1p-53)).squareRoot()
    let angle = 2 * Double.pi * random.uniform(pair + 1)
    return radius * (index & 1 == 0 ? cos(angle) : sin(angle))
  }

  /// Relative error of X against the expectation, and its theory: seed 100 gives the figures
  /// 0.646, 0.2285 and 0.0571 of the reference.
  @Test(arguments: [100, 311, 9_204], [32, 256, 4_096])
  func errorFallsWithTheRootOfTheHashes(seed: UInt64, hashes: Int) {
    let exact = YosoCase(
      YosoShape(heads: 1, estimate: .expectation, bits: 4), lengths: [64], keyWidth: 64,
      valueWidth: 64)
    for (word, view) in [
      (10, exact.problem.q), (11, exact.problem.k), (12, exact.problem.v),
    ] as [(UInt64, View)] {
      let random = CounterRandom(seed: seed, 0, 0, 0, word)
      for index in 0..<64 * 64 {
        view[index / 64, index % 64] = Float(referenceGaussian(random, UInt64(index)))
      }
    }
    let expected = YosoResult(exact)
    exact.forward(expected)
    let x = sums(exact, expected)
    let shape = YosoShape(heads: 1, estimate: .sampled, bits: 4, hashes: hashes)
    let sampled = YosoCase(
      shape, exact.problem, planes: YosoCase.planes(shape, width: 64, seed: seed))
    let result = YosoResult(sampled)
    sampled.forward(result)
    let error = relativeDistance(sums(sampled, result), x)
    let prediction = theory(exact, x) / Double(hashes).squareRoot()
    #expect(abs(error / prediction - 1) < 0.15, "\(error), theory \(prediction)")
    if seed == 100 {
      #expect(abs(prediction * (Double(hashes) / 32).squareRoot() / 0.646_18 - 1) < 1e-3)
    }
  }

  @Test(arguments: [1, 58, 1_306]) func collisionsAreAsFrequentAsTheirProbability(seed: UInt64) {
    let own = YosoCase(
      YosoShape(heads: 1, estimate: .sampled, bits: 6, hashes: 1_000), lengths: [48],
      keyWidth: 32, seed: seed)
    for row in 0..<48 {
      for column in 0..<32 { own.problem.k[row, column] += 1.2 * own.problem.q[row, column] }
    }
    let rounds = 20
    var counts = [Double](repeating: 0, count: 48 * 48)
    for round in 0..<rounds {
      let draw = YosoCase(
        own.shape, own.problem,
        planes: YosoCase.planes(own.shape, width: 32, seed: seed * 1_000 + UInt64(round)))
      let queries = draw.codes(own.problem.q, sequence: 0, head: 0)
      let keys = draw.codes(own.problem.k, sequence: 0, head: 0)
      for hash in 0..<1_000 {
        for i in 0..<48 {
          for j in 0...i where queries[hash][i] == keys[hash][j] { counts[i * 48 + j] += 1 }
        }
      }
    }
    let total = Double(rounds * 1_000)
    var sum = 0.0
    var largest = 0.0
    var pairs = 0.0
    forPairs(own) { i, j, w in
      let z = (counts[i * 48 + j] / total - w) / (w * (1 - w) / total).squareRoot()
      sum += z * z
      largest = max(largest, abs(z))
      pairs += 1
    }
    #expect((0.8...1.2).contains(sum / pairs), "mean z² \(sum / pairs)")
    #expect(largest < 6)
  }

  /// With o and |X| held at their expectation, 40,000 hashes average to the lower-bound gradients.
  @Test(arguments: [6, 77]) func gradientsAverageToTheLowerBound(seed: UInt64) {
    let exact = YosoCase(
      YosoShape(heads: 1, estimate: .expectation, bits: 4), lengths: [20], seed: seed)
    for row in 0..<20 {
      for column in 0..<8 { exact.problem.k[row, column] += 0.7 * exact.problem.q[row, column] }
    }
    let expected = exact.run()
    let hashes = 2_000
    let rounds = 20
    let shape = YosoShape(heads: 1, estimate: .sampled, bits: 4, hashes: hashes)
    func rows(_ view: View) -> [[Double]] { exact.problem.rows(view, sequence: 0, head: 0) }
    var means = [expected.dq, expected.dk, expected.dv].map { rows($0).map { $0.map { _ in 0.0 } } }
    for round in 0..<rounds {
      let own = YosoCase(
        shape, exact.problem,
        planes: YosoCase.planes(shape, width: 8, seed: seed * 100 + UInt64(round)))
      let result = YosoResult(own)
      own.forward(result)
      result.o.copy(from: expected.o)
      for row in 0..<20 { result.saved[0, row] = expected.saved[0, row] * Float(hashes) }
      own.backward(result)
      for (index, view) in [result.dq, result.dk, result.dv].enumerated() {
        for (row, values) in rows(view).enumerated() {
          for (column, value) in values.enumerated() {
            means[index][row][column] += value / Double(rounds)
          }
        }
      }
    }
    for (mean, view) in zip(means, [expected.dq, expected.dk, expected.dv]) {
      #expect(relativeDistance(mean, rows(view)) < 0.04)
    }
  }

  @Test func hyperplanesAreNormalNumbersOfTheStream() {
    let shape = YosoShape(heads: 3, estimate: .sampled, bits: 5, hashes: 40)
    let planes = shape.drawPlanes(width: 33) { CounterRandom(seed: 12, UInt64($0)) }
    var moments = [0.0, 0.0, 0.0]
    for head in 0..<3 {
      let random = CounterRandom(seed: 12, UInt64(head))
      for row in 0..<200 {
        for column in 0..<33 {
          let value = Double(planes[head * 200 + row, column])
          // 23 bits instead of 53: rare large numbers differ by more.
          #expect(abs(value - random.gaussian(UInt64(row * 33 + column))) < 2e-3)
          for power in 0..<3 {
            moments[power] += [value, value * value, value * value * value * value][power]
          }
        }
      }
    }
    let count = Double(planes.count)
    #expect(abs(moments[0] / count) < 0.03)
    #expect(abs(moments[1] / count - 1) < 0.04)
    #expect(abs(moments[2] / count - 3) < 0.25)
  }

  @Test func fewerHashesAreAPrefixOfMore() {
    func draw(_ hashes: Int) -> View {
      YosoShape(heads: 1, estimate: .sampled, bits: 3, hashes: hashes)
        .drawPlanes(width: 7) { CounterRandom(seed: 2, UInt64($0)) }
    }
    let many = draw(50)
    for hashes in [1, 2, 7, 33] {
      expectSameBits(draw(hashes), many.rows(0..<3 * hashes))
    }
    expectThreadIndependence { [draw(50)] }
  }
}
