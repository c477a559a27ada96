import Eval
import Foundation
import Testing

struct SamplerTests {
  private static func options(
    temperature: Double = 1, topK: Int = 0, topP: Double = 1, minP: Double = 0
  ) -> SamplingOptions {
    var options = SamplingOptions()
    options.temperature = temperature
    options.topK = topK
    options.topP = topP
    options.minP = minP
    return options
  }

  /// How often each token is drawn.
  private static func counts(
    _ logits: [Float], _ options: SamplingOptions, draws: Int, excluded: [Int32] = []
  ) throws -> [Int] {
    let sampler = try Sampler(
      options, seed: 5, vocabulary: logits.count, excluded: excluded)
    var counts = [Int](repeating: 0, count: logits.count)
    for draw in 0..<draws {
      counts[Int(try sampler.choose(logits, sample: draw / 100, step: draw % 100))] += 1
    }
    return counts
  }

  /// Five standard deviations of the multinomial, for fixed seeds.
  private static func expect(
    _ counts: [Int], follow probabilities: [Double],
    sourceLocation: SourceLocation = #_sourceLocation
  ) {
    let draws = Double(counts.reduce(0, +))
    for (count, probability) in zip(counts, probabilities) {
      let spread = (draws * probability * (1 - probability)).squareRoot()
      #expect(
        abs(Double(count) - draws * probability) <= 5 * spread, "\(counts) for \(probabilities)",
        sourceLocation: sourceLocation)
    }
  }

  private static let probabilities = [0.1, 0.4, 0.05, 0.25, 0.2]
  private static let logits = probabilities.map { Float(log($0)) + 3 }

  @Test func frequenciesFollowTheLogits() throws {
    let counts = try Self.counts(Self.logits, Self.options(), draws: 40_000)
    Self.expect(counts, follow: Self.probabilities)
  }

  @Test(arguments: [0.5, 2.0])
  func temperatureSharpensAndFlattens(temperature: Double) throws {
    let counts = try Self.counts(
      Self.logits, Self.options(temperature: temperature), draws: 40_000)
    let powers = Self.probabilities.map { pow($0, 1 / temperature) }
    let mass = powers.reduce(0, +)
    Self.expect(counts, follow: powers.map { $0 / mass })
  }

  private static func expectSupport(
    _ options: SamplingOptions, _ kept: Set<Int>, excluded: [Int32] = [],
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let counts = try counts(logits, options, draws: 10_000, excluded: excluded)
    let mass = kept.reduce(0) { $0 + probabilities[$1] }
    expect(
      counts,
      follow: probabilities.indices.map { kept.contains($0) ? probabilities[$0] / mass : 0 },
      sourceLocation: sourceLocation)
  }

  @Test func topKKeepsTheMostProbable() throws {
    try Self.expectSupport(Self.options(topK: 1), [1])
    try Self.expectSupport(Self.options(topK: 3), [1, 3, 4])
    try Self.expectSupport(Self.options(topK: 5), [0, 1, 2, 3, 4])
    try Self.expectSupport(Self.options(topK: 99), [0, 1, 2, 3, 4])
    try Self.expectSupport(Self.options(topK: 2), [3, 4], excluded: [1])
  }

  @Test func topPKeepsTheFewestThatReachIt() throws {
    try Self.expectSupport(Self.options(topP: 0.01), [1])
    try Self.expectSupport(Self.options(topP: 0.39), [1])
    try Self.expectSupport(Self.options(topP: 0.41), [1, 3])
    try Self.expectSupport(Self.options(topP: 0.66), [1, 3, 4])
    try Self.expectSupport(Self.options(topP: 0.94), [0, 1, 3, 4])
    try Self.expectSupport(Self.options(topP: 0.96), [0, 1, 2, 3, 4])
  }

  @Test func minPIsRelativeToTheBest() throws {
    try Self.expectSupport(Self.options(minP: 1), [1])
    try Self.expectSupport(Self.options(minP: 0.6), [1, 3])
    try Self.expectSupport(Self.options(minP: 0.24), [0, 1, 3, 4])
    try Self.expectSupport(Self.options(minP: 0.12), [0, 1, 2, 3, 4])
  }

  /// Top-p counts what top-k has left; min-p comes last and looks at the tempered numbers.
  @Test func filtersFollowEachOther() throws {
    // Of {0.4, 0.25} the first alone is 0.615.
    try Self.expectSupport(Self.options(topK: 2, topP: 0.6), [1])
    try Self.expectSupport(Self.options(topK: 2, topP: 0.63), [1, 3])
    try Self.expectSupport(Self.options(topK: 4, topP: 0.95, minP: 0.4), [1, 3, 4])
    let counts = try Self.counts(
      Self.logits, Self.options(temperature: 0.5, minP: 0.3), draws: 1_000)
    // Squares relative to the best: 0.39 for 0.25, 0.25 for 0.2.
    #expect(counts.enumerated().filter { $0.element > 0 }.map(\.offset) == [1, 3])
  }

  @Test func temperatureZeroTakesTheFirstOfTheBest() throws {
    let sampler = try Sampler(
      Self.options(temperature: 0), seed: 1, vocabulary: 6, excluded: [1])
    #expect(try sampler.choose([0, 9, 5, 5, -1, 5], sample: 0, step: 0) == 2)
    #expect(try sampler.choose([-5, 9, -7, -6, -5, -9], sample: 3, step: 2) == 0)
  }

  @Test func tiesAreCutByIdentity() throws {
    let logits = [Float](repeating: 2, count: 50)
    let counts = try Self.counts(logits, Self.options(topK: 7), draws: 4_000, excluded: [0, 3])
    let drawn = counts.enumerated().filter { $0.element > 0 }.map(\.offset)
    #expect(drawn == [1, 2, 4, 5, 6, 7, 8])
  }

  @Test func topKIsExactForManyTokens() throws {
    let logits = (0..<5_000).map { Float(sin(Double($0 * $0))) * 12 }
    let best = logits.indices.sorted { (-logits[$0], $0) < (-logits[$1], $1) }
    for k in [1, 2, 40, 1_000] {
      let sampler = try Sampler(
        Self.options(temperature: 50, topK: k), seed: 2, vocabulary: 5_000, excluded: [])
      let kept = Set(best.prefix(k).map(Int32.init))
      let drawn = try (0..<60).map { try sampler.choose(logits, sample: 1, step: $0) }
      #expect(drawn.allSatisfy(kept.contains))
      #expect(k > 40 || Set(drawn).count > k / 2)
    }
  }

  @Test func extremesAreSafe() throws {
    let wide: [Float] = [-3e38, 3e38, 0, -.infinity]
    for temperature in [1e-300, 1e-3, 1, 1e300] {
      let counts = try Self.counts(
        wide, Self.options(temperature: temperature, topP: 0.999), draws: 300)
      #expect(counts[3] == 0)
      if temperature <= 1 { #expect(counts[1] == 300) }
    }
    let sampler = try Sampler(Self.options(), seed: 1, vocabulary: 3, excluded: [2])
    for logits: [Float] in [[.nan, 0, 0], [0, .infinity, 0], [-.infinity, -.infinity, 0]] {
      #expect(throws: EvaluationError.noLogits(step: 4)) {
        try sampler.choose(logits, sample: 0, step: 4)
      }
    }
    // What is never drawn is never looked at.
    #expect(try sampler.choose([-.infinity, 0, .nan], sample: 0, step: 0) == 1)
  }

  @Test(arguments: [0.3, 1, 4]) func allTokensAreDrawnAsByTheGeneralWay(
    temperature: Double
  ) throws {
    let logits = (0..<3_000).map { Float(sin(Double($0 * $0))) * 9 }
    let excluded: [Int32] = [0, 17, 2_999]
    let all = try Sampler(
      Self.options(temperature: temperature), seed: 4, vocabulary: 3_000, excluded: excluded)
    // Drops nothing, but goes by a list of candidates.
    let listed = try Sampler(
      Self.options(temperature: temperature, minP: 1e-300), seed: 4, vocabulary: 3_000,
      excluded: excluded)
    for step in 0..<400 {
      #expect(
        try all.choose(logits, sample: step % 3, step: step)
          == listed.choose(logits, sample: step % 3, step: step))
    }
  }

  @Test func drawsAreAFunctionOfSeedSampleAndStep() throws {
    let logits = (0..<200).map { Float($0 % 7) * 0.1 }
    func draws(_ seed: UInt64, _ sample: Int) throws -> [Int32] {
      let sampler = try Sampler(Self.options(), seed: seed, vocabulary: 200, excluded: [])
      return try (0..<40).map { try sampler.choose(logits, sample: sample, step: $0) }
    }
    #expect(try draws(1, 0) == draws(1, 0))
    #expect(try draws(1, 0) != draws(2, 0))
    #expect(try draws(1, 0) != draws(1, 1))
  }

  @Test func impossibleOptionsAreRefused() {
    for options in [
      Self.options(temperature: -1), Self.options(temperature: .nan),
      Self.options(temperature: .infinity), Self.options(topK: -1), Self.options(topP: 0),
      Self.options(topP: 1.5), Self.options(topP: .nan), Self.options(minP: -0.1),
      Self.options(minP: 1.1),
    ] {
      #expect(throws: EvaluationError.self) { try options.validate() }
    }
    #expect(throws: EvaluationError.self) {
      try Sampler(SamplingOptions(), seed: 1, vocabulary: 2, excluded: [0, 1])
    }
  }
}
