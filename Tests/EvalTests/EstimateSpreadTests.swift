import Eval
import Foundation
import Storage
import Testing

struct EstimateSpreadTests {
  @Test func meanAndDeviationOverSeeds() throws {
    let spread = EstimateSpread(
      attention: "yoso", seeds: [0, 1, 2, 3], wordPerplexities: [10, 12, 11, 15])
    #expect(spread.mean == 12)
    // Squares 4 + 0 + 1 + 9 over 3.
    let deviation = try #require(spread.deviation)
    #expect(abs(deviation - (14.0 / 3).squareRoot()) < 1e-12)
    #expect(
      EstimateSpread(attention: "yoso", seeds: [7], wordPerplexities: [10]).deviation == nil)
  }

  @Test func reportCarriesItOnlyIfThereIsOne() throws {
    var report = PerplexityReport(
      tally: Tally(nats: 2, tokens: 1, sentences: 1, words: 1, bytes: 3), standardError: nil)
    func keys() throws -> Set<String> {
      let object = try JSONSerialization.jsonObject(with: Data(JSONFile.encode(report)))
      return Set(try #require(object as? [String: Any]).keys)
    }
    #expect(try !keys().contains("sampled"))
    report.sampled = EstimateSpread(
      attention: "yoso", seeds: [0, 1], wordPerplexities: [10, .infinity])
    let text = String(decoding: try JSONFile.encode(report), as: UTF8.self)
    #expect(try keys().contains("sampled"))
    // JSON has no infinity.
    #expect(text.contains("null") && !text.contains("inf"))
  }
}
