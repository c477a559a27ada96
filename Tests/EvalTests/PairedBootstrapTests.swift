import Deterministic
import Eval
import Foundation
import Tensor
import TestSupport
import Testing

@Suite struct PairedBootstrapTests {
  /// Sentences whose difficulty differs far more than the models do.
  private func sentences(
    _ count: Int, advantage: Double, noise: Double, seed: UInt64
  ) -> (first: [SentenceSum], second: [SentenceSum]) {
    let random = CounterRandom(seed: seed, 5)
    var (first, second): ([SentenceSum], [SentenceSum]) = ([], [])
    for index in 0..<count {
      let units = 5 + Int(random.bits(UInt64(3 * index)) % 40)
      let hard = 5 + 2 * random.gaussian(UInt64(100_000 + 4 * index))
      let base = Double(units) * hard
      let difference = Double(units) * advantage + noise * random.gaussian(UInt64(4 * index + 2))
      first.append(SentenceSum(nats: base, units: units))
      second.append(SentenceSum(nats: base + difference, units: units))
    }
    return (first, second)
  }

  @Test func theValueIsThatOfTheWholeText() throws {
    let (first, second) = sentences(300, advantage: 0.02, noise: 1, seed: 1)
    let result = try #require(PairedBootstrap(first, second, draws: 500))
    let units = Double(first.reduce(0) { $0 + $1.units })
    let means = [first, second].map { $0.reduce(0) { $0 + $1.nats } / units }
    #expect(abs(result.natsPerWord.value - (means[0] - means[1])) < 1e-12)
    #expect(abs(result.wordPerplexity.value - (exp(means[0]) - exp(means[1]))) < 1e-9)
    #expect(result.natsPerWord.low < result.natsPerWord.value)
    #expect(result.natsPerWord.high > result.natsPerWord.value)
    #expect(result.sentences == 300 && result.draws == 500)
  }

  /// The error of a ratio of sums: deviation of (d - r·u) over √n, divided by the mean units.
  @Test func theErrorIsThatOfTheDifferences() throws {
    let (first, second) = sentences(400, advantage: 0.05, noise: 2, seed: 3)
    let result = try #require(PairedBootstrap(first, second))
    let units = Double(first.reduce(0) { $0 + $1.units })
    let ratio = result.natsPerWord.value
    let residuals = zip(first, second).map { $0.nats - $1.nats - ratio * Double($0.units) }
    let variance = residuals.reduce(0) { $0 + $1 * $1 }
    let expected = variance.squareRoot() / units
    #expect(abs(result.natsPerWord.standardError / expected - 1) < 0.05)
    // Without pairs the error would be that of the sentences' difficulty, some fifty times as large.
    let alone = try #require(SentenceSums(first).bootstrapStandardError())
    #expect(result.wordPerplexity.standardError < alone / 5)
  }

  @Test func equalModelsDoNotDiffer() throws {
    let (first, _) = sentences(50, advantage: 0, noise: 0, seed: 2)
    let result = try #require(PairedBootstrap(first, first, draws: 200))
    #expect(result.natsPerWord.value == 0 && result.natsPerWord.standardError == 0)
    #expect(result.probability == 1)
  }

  @Test func orderThreadsAndSidesChangeNothing() throws {
    let (first, second) = sentences(80, advantage: 0.01, noise: 3, seed: 4)
    let result = try #require(PairedBootstrap(first, second, draws: 300))
    let odd = first.indices.filter { $0 % 2 == 1 } + first.indices.filter { $0 % 2 == 0 }
    #expect(
      PairedBootstrap(odd.map { first[$0] }, odd.map { second[$0] }, draws: 300) == result)
    #expect(withThreads(1) { PairedBootstrap(first, second, draws: 300) } == result)
    #expect(withThreads(3) { PairedBootstrap(first, second, draws: 300) } == result)
    #expect(PairedBootstrap(first, second, draws: 300, seed: 2) != result)
    let turned = try #require(PairedBootstrap(second, first, draws: 300))
    #expect(turned.natsPerWord.value == -result.natsPerWord.value)
  }

  /// Where there is no difference, p is below 0.1 in about a tenth of the cases; where there is a
  /// clear one, always.
  @Test func probabilitiesAreCalibrated() throws {
    var below = 0
    for seed in 0..<200 as Range<UInt64> {
      let (first, second) = sentences(60, advantage: 0, noise: 2, seed: 100 + seed)
      let result = try #require(PairedBootstrap(first, second, draws: 400, seed: seed))
      if result.probability < 0.1 { below += 1 }
      let (better, worse) = sentences(60, advantage: 0.1, noise: 2, seed: 100 + seed)
      #expect(try #require(PairedBootstrap(better, worse, draws: 400)).probability < 0.01)
    }
    #expect((8...40).contains(below), "\(below) of 200")
  }

  @Test func oneSentenceIsNotEnough() {
    #expect(
      PairedBootstrap([SentenceSum(nats: 1, units: 2)], [SentenceSum(nats: 2, units: 2)]) == nil)
  }
}
