import Foundation

/// The perplexity of tokens of one kind beside those of others.
///
/// Sums are of whole numbers, so that no figure depends on the order of the text.
package struct Breakdown: Sendable, Equatable {
  /// The tokens of one band: `lowest` to `highest` of what the breakdown is by.
  package struct Band: Sendable, Equatable {
    package let lowest: Int
    package let highest: Int
    /// Targets, `</s>` among them.
    package fileprivate(set) var tokens = 0
    fileprivate var units: Int128 = 0

    /// Sum of -ln p, within 1e-12 a token.
    package var nats: Double { Double(units) / Breakdown.unitsPerNat }

    /// exp(nats / tokens); not a number where there are none.
    package var perplexity: Double { exp(nats / Double(tokens)) }
  }

  /// What decides the band of a target.
  package enum Rule: Sendable, Equatable {
    /// How often each token occurs in another text: never, 1 to 9 times, 10 to 99 times and so on.
    case frequency([Int])
    /// Its place in the sentence, from 1: 1, 2, 3 to 4, 5 to 8 and so on.
    case position
  }

  /// Every band up to the last in which there is a target.
  package private(set) var bands: [Band] = []
  private let rule: Rule
  /// The band of every token, where it follows from the token.
  private let bandOfToken: [Int]

  /// A sum in these units holds any text: an addend is cut off at 2^50 nats.
  fileprivate static let unitsPerNat = 0x1p40
  private static let most = 0x1p50

  package init(by rule: Rule) {
    self.rule = rule
    bandOfToken =
      if case .frequency(let counts) = rule { counts.map(Self.decade) } else { [] }
  }

  /// Whether it is by position; else it is by frequency.
  package var isByPosition: Bool { rule == .position }

  /// Adds the targets of a sequence, whose figures must be known.
  package mutating func add(_ score: SequenceScore) {
    precondition(score.nllNats.count == score.targets.count, "a sequence without its figures")
    for (place, (target, nll)) in zip(score.targets, score.nllNats).enumerated() {
      let band = rule == .position ? Self.octave(place + 1) : bandOfToken[Int(target)]
      while bands.count <= band { bands.append(empty(bands.count)) }
      bands[band].tokens += 1
      bands[band].units += Int128((min(Double(nll), Self.most) * Self.unitsPerNat).rounded())
    }
  }

  private func empty(_ band: Int) -> Band {
    switch rule {
    case .frequency:
      band == 0
        ? Band(lowest: 0, highest: 0)
        : Band(lowest: Self.ten(band - 1), highest: Self.ten(band) - 1)
    case .position:
      band == 0
        ? Band(lowest: 1, highest: 1) : Band(lowest: 1 << (band - 1) + 1, highest: 1 << band)
    }
  }

  /// The number of decimal digits; 0 for 0.
  private static func decade(_ count: Int) -> Int {
    var digits = 0
    var rest = count
    while rest > 0 {
      digits += 1
      rest /= 10
    }
    return digits
  }

  private static func ten(_ power: Int) -> Int { (0..<power).reduce(1) { ten, _ in ten * 10 } }

  /// 0 for 1, 1 for 2, 2 for 3 and 4, and so on.
  private static func octave(_ place: Int) -> Int { Int.bitWidth - (place - 1).leadingZeroBitCount }
}

extension Breakdown: Encodable {
  private enum Key: String, CodingKey {
    case from, to, tokens, nats
    case tokenPerplexity = "token_perplexity"
  }

  package func encode(to encoder: any Encoder) throws {
    var list = encoder.unkeyedContainer()
    for band in bands {
      var fields = list.nestedContainer(keyedBy: Key.self)
      try fields.encode(band.lowest, forKey: .from)
      try fields.encode(band.highest, forKey: .to)
      try fields.encode(band.tokens, forKey: .tokens)
      try fields.encode(band.nats, forKey: .nats)
      // JSON has neither infinity nor the mean of nothing.
      let perplexity = band.perplexity
      try fields.encode(perplexity.isFinite ? perplexity : nil, forKey: .tokenPerplexity)
    }
  }
}
