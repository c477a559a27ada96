/// The perplexity of an attention that is a random estimate, over several draws of its random numbers.
///
/// Noise raises the mean perplexity above that of the expectation (Jensen's inequality), so the two
/// are always reported separately.
package struct EstimateSpread: Sendable, Equatable, Encodable {
  /// The attention, written as for `--attention`.
  package let attention: String
  /// The evaluation seed of every draw.
  package let seeds: [UInt64]
  /// Word perplexity under every seed.
  package let wordPerplexities: [Double]

  package init(attention: String, seeds: [UInt64], wordPerplexities: [Double]) {
    precondition(seeds.count == wordPerplexities.count && !seeds.isEmpty)
    self.attention = attention
    self.seeds = seeds
    self.wordPerplexities = wordPerplexities
  }

  package var mean: Double { wordPerplexities.reduce(0, +) / Double(wordPerplexities.count) }

  /// Standard deviation over the seeds, n - 1 in the denominator; nil for one seed.
  package var deviation: Double? {
    guard wordPerplexities.count > 1 else { return nil }
    let mean = mean
    let squares = wordPerplexities.reduce(0) { $0 + ($1 - mean) * ($1 - mean) }
    return (squares / Double(wordPerplexities.count - 1)).squareRoot()
  }

  private enum Key: String, CodingKey {
    case attention, seeds, mean, deviation
    case wordPerplexities = "word_perplexities"
  }

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    func finite(_ value: Double?) -> Double? { value.flatMap { $0.isFinite ? $0 : nil } }
    try fields.encode(attention, forKey: .attention)
    try fields.encode(seeds, forKey: .seeds)
    try fields.encode(wordPerplexities.map { finite($0) }, forKey: .wordPerplexities)
    try fields.encode(finite(mean), forKey: .mean)
    try fields.encode(finite(deviation), forKey: .deviation)
  }
}
