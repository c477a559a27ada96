import Deterministic
import Eval
import Foundation
import Storage
import Tensor
import Testing

struct TallyTests {
  private let tally = Tally(nats: 900, tokens: 230, sentences: 10, words: 150, bytes: 1_000)

  @Test func figuresFollowTheirDefinitions() {
    #expect(abs(tally.wordPerplexity - exp(900.0 / 160)) < 1e-9)
    #expect(abs(tally.tokenPerplexity - exp(900.0 / 240)) < 1e-9)
    #expect(abs(tally.natsPerToken - 3.75) < 1e-12)
    #expect(abs(tally.bitsPerByte - 0.9 / log(2)) < 1e-12)
    // The identity between the two perplexities.
    let power = pow(tally.tokenPerplexity, 240.0 / 160)
    #expect(abs(tally.wordPerplexity - power) < 1e-9 * power)
  }

  @Test func sumsAdd() {
    var total = tally
    total += Tally(nats: 100, tokens: 20, sentences: 2, words: 11, bytes: 77)
    #expect(
      total == Tally(nats: 1_000, tokens: 250, sentences: 12, words: 161, bytes: 1_077))
  }

  private static func sentences(_ count: Int) -> [SentenceSum] {
    let random = CounterRandom(seed: 11)
    return (0..<count).map { index in
      let units = 3 + Int(random.bits(UInt64(4 * index)) % 40)
      let noise = random.gaussian(UInt64(4 * index + 2))
      return SentenceSum(nats: Double(units) * (5 + 0.6 * noise), units: units)
    }
  }

  /// Ratio estimator: Var(N/U) = Σ (nᵢ - R uᵢ)² / U², and exp multiplies the error by itself.
  @Test func bootstrapAgreesWithTheRatioEstimator() throws {
    let sentences = Self.sentences(2_000)
    let nats = sentences.reduce(0) { $0 + $1.nats }
    let units = Double(sentences.reduce(0) { $0 + $1.units })
    let squares = sentences.reduce(0) {
      $0 + pow($1.nats - nats / units * Double($1.units), 2)
    }
    let analytic = exp(nats / units) * squares.squareRoot() / units
    let bootstrap = try #require(SentenceSums(sentences).bootstrapStandardError())
    #expect(abs(bootstrap / analytic - 1) < 0.1, "\(bootstrap) against \(analytic)")
  }

  @Test func noOrderAndNoThreadChangesABit() {
    let sentences = Self.sentences(500)
    let sums = SentenceSums(sentences)
    let error = sums.bootstrapStandardError()
    #expect(error != nil)
    for seed in 1..<5 {
      let random = CounterRandom(seed: UInt64(seed))
      let shuffled = sentences.indices.sorted { random.bits(UInt64($0)) < random.bits(UInt64($1)) }
        .map { sentences[$0] }
      #expect(SentenceSums(shuffled).nats == sums.nats)
      #expect(SentenceSums(shuffled).bootstrapStandardError() == error)
    }
  }

  @Test func oneSentenceHasNoError() {
    #expect(SentenceSums(Self.sentences(1)).bootstrapStandardError() == nil)
    #expect(SentenceSums([]).bootstrapStandardError() == nil)
    let hopeless = [SentenceSum(nats: 1e6, units: 3), SentenceSum(nats: 2e6, units: 4)]
    #expect(SentenceSums(hopeless).bootstrapStandardError() == nil)
    let same = Array(repeating: SentenceSum(nats: 12, units: 4), count: 9)
    #expect(SentenceSums(same).bootstrapStandardError().map { $0 < 1e-12 } == true)
  }

  @Test func jsonHasTheDocumentedKeys() throws {
    let report = PerplexityReport(tally: tally, standardError: nil)
    let bytes = try JSONFile.encode(report)
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    #expect(
      Set(object.keys) == [
        "word_perplexity", "token_perplexity", "bits_per_byte", "nats", "words", "tokens",
        "sentences", "bytes", "standard_error",
      ])
    #expect(object["words"] as? Int == 150)
    #expect(object["tokens"] as? Int == 230)
    #expect(object["word_perplexity"] as? Double == tally.wordPerplexity)
    #expect(object["standard_error"] is NSNull)
  }
}
