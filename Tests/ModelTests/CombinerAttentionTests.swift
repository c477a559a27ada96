import Model
import OracleBackend
import Storage
import Tensor
import TestSupport
import Testing

@Suite struct CombinerAttentionTests {
  private func model(_ attention: AttentionConfig) -> ModelConfig {
    var config = ModelConfig(vocabularySize: 61, width: 24, layers: 2, heads: 3, hidden: 40)
    config.use(attention)
    return config
  }

  @Test func defaultsAreThoseOfThePaperAndSinusoids() throws {
    let config = model(try AttentionConfig(parsing: "combiner"))
    try config.validate()
    #expect(config.attention == .combiner(.fixed, segment: 64, pooling: .max, address: .wsum))
    #expect(config.position == .sinusoidal)
    #expect(
      "\(config.attention)" == "combiner:address=wsum,pattern=fixed,pooling=max,segment=64")
  }

  @Test func optionsAreRead() throws {
    let config = try AttentionConfig(
      parsing: "combiner:pattern=rowmajor,segment=8,address=proj")
    #expect(config == .combiner(.rowmajor, segment: 8, address: .proj))
  }

  @Test(arguments: [
    ("combiner:pattern=diagonal", "diagonal"), ("combiner:pooling=min", "min"),
    ("combiner:m=64", "segment"),
  ])
  func whatIsWrongIsSaid(text: String, word: String) {
    let error = #expect(throws: ModelError.self) { try AttentionConfig(parsing: text) }
    #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
  }

  @Test(arguments: [(Position.rotary, "rotations"), (.relativeBias, "distance")])
  func positionsThatDoNotFitAreRefused(position: Position, word: String) {
    var config = model(.combiner(.fixed))
    config.position = position
    let error = #expect(throws: ModelError.self) { try config.validate() }
    #expect(error?.description.contains(word) == true, "\(error?.description ?? "")")
    #expect(error?.description.contains("sinusoidal") == true)
  }

  @Test(arguments: [0, -1, 1 << 17])
  func segmentsThatAreNoneAreRefused(segment: Int) throws {
    let config = model(try AttentionConfig(parsing: "combiner:segment=\(segment)"))
    let error = #expect(throws: ModelError.self) { try config.validate() }
    #expect(error?.description.contains("\(segment)") == true)
  }

  @Test func projectedAddressesHaveWeightsOfTheirOwn() throws {
    let plain = model(.combiner(.rowmajor, segment: 8))
    let projected = model(.combiner(.rowmajor, segment: 8, address: .proj))
    #expect(plain.mechanism.ownWeights.isEmpty && !plain.mechanism.readsInput)
    #expect(projected.mechanism.readsInput)
    let layout = ParameterLayout(projected)
    let more = layout.count - ParameterLayout(plain).count
    #expect(more >= 2 * (2 * 24 * 24 + 2 * 24))
    let slot = try #require(layout.slot("model.layers.1.self_attn.address_proj.weight"))
    #expect(slot.rows == 24 && slot.columns == 24)
  }

  /// Work counted by listing direct keys and regions of every query.
  @Test(arguments: CombinerShape.Pattern.allCases, [1, 3, 8])
  func workIsCountedPairByPair(pattern: CombinerShape.Pattern, segment: Int) {
    let shape = CombinerShape(heads: 3, scale: 1, pattern: pattern, segment: segment)
    let twin = ReferenceCombinerAttention(q: [], k: [], v: [], shape: shape)
    let mechanism = model(.combiner(pattern, segment: segment)).mechanism
    for length in [1, 2, 3, 7, 8, 9, 16, 24, 33, 64, 100] {
      var read = 0
      var members: [[Int]: Int] = [:]
      for i in 0..<length {
        let (direct, regions) = twin.plan(i)
        read += direct.count + regions.count
        for (index, region) in regions.enumerated()
        where pattern != .logsparse || region.members.count > 1 {
          // A part of a row and one of a column may be the same token and still are two regions.
          let isColumn = pattern == .mixture && index < segment - 1
          // A row is summarised for each of its queries.
          members[region.members + (isColumn ? [-1] : [])] =
            pattern == .rowmajor ? segment * segment : region.members.count
        }
      }
      let summary = members.values.reduce(0, +)
      let (forward, training) = pattern == .rowmajor ? (6, 26) : (4, 18)
      let work = mechanism.work(length: length)
      // Ragged axial rows build a few summaries that nobody reads.
      let isExact =
        ![.vertical, .mixture].contains(pattern) || (segment > 1 && length % segment == 0)
      let expected = AttentionWork(
        forward: Double(24 * (4 * read + forward * summary)),
        training: Double(24 * (14 * read + training * summary)))
      if isExact {
        #expect(work == expected, "length \(length)")
      } else {
        #expect(work.forward >= expected.forward, "length \(length)")
      }
    }
  }
}
