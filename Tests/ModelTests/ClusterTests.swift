import Deterministic
import Foundation
import Model
import Storage
import Tensor
import TestSupport
import Testing

/// Clusters of the vocabulary: the distribution, its definition, and what a model of them is on disk.
///
/// Gradients, causality, decoding and threads are those of ``TransformerTests`` for the variants with
/// clusters.
@Suite(.serialized) struct ClusterTests {
  private static let text = TinySequences(lengths: [5, 1, 19, 34], vocabulary: 61, seed: 5)
  private static let variants = Variant.all.filter { !$0.config.cutoffs.isEmpty }

  /// Probabilities of all tokens sum to 1 at every position, and those of targets are the scored ones.
  @Test(arguments: TestBackend.ofTheProgram, variants)
  func distributionIsWhole(backend: TestBackend, variant: Variant) throws {
    let model = try variant.model(on: backend)
    let text = Self.text
    let logits = try model.kernels.numbers(of: try model.logits(ids: text.ids, starts: text.starts))
    let nats = try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
    let width = model.config.vocabularySize
    let clusters = try #require(model.config.clusters)
    var seen = Set<Int>()
    for (position, target) in text.targets.enumerated() {
      let row = logits[position * width..<(position + 1) * width].map(Double.init)
      // The head has an entry for each tail in place of its tokens; their logits sum to it.
      let peak = row.max() ?? 0
      let total = peak + log(row.reduce(0) { $0 + exp($1 - peak) })
      #expect(abs(total - row[Int(target)] - Double(nats[position])) < 2e-5, "\(position)")
      // Of the scored probability of every token of the vocabulary.
      if position % 13 == 0 {
        var sum = 0.0
        for id in 0..<Int32(width) {
          let alone = try model.nllNats(
            ids: Array(text.ids[...position]),
            targets: Array(text.targets[..<position]) + [id],
            starts: text.starts.filter { $0 <= position } + [position + 1])
          sum += exp(-Double(alone[position]))
        }
        #expect(abs(sum - 1) < 1e-5, "\(position): \(sum)")
      }
      seen.insert(clusters.ranges.firstIndex { $0.contains(Int(target)) } ?? -1)
    }
    // One cluster of a single token may have no target here.
    #expect(seen.count >= clusters.ranges.count - 1)
  }

  /// The loss of two positions of different clusters, from hidden states and weights in Double.
  @Test(arguments: variants) func natsAreThoseOfTheDefinition(variant: Variant) throws {
    let model = try variant.model(on: .cpu)
    let text = Self.text
    let clusters = try #require(model.config.clusters)
    let (kernels, weights) = (model.kernels, model.parameters)
    var hidden: [Float] = []
    let nats = try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts) {
      (view) throws(DeviceError) in hidden = try kernels.numbers(of: view)
    }
    let width = model.config.width
    func logits(_ x: [Double], _ table: View) throws -> [Double] {
      let numbers = try kernels.numbers(of: table)
      return (0..<table.rows).map { row in
        x.indices.reduce(0) { $0 + x[$1] * Double(numbers[row * x.count + $1]) }
      }
    }
    func nll(_ logits: [Double], _ target: Int) -> Double {
      log(logits.reduce(0) { $0 + exp($1) }) - logits[target]
    }
    for (position, target) in text.targets.enumerated() {
      let h = hidden[position * width..<(position + 1) * width].map(Double.init)
      let cluster = try #require(clusters.ranges.firstIndex { $0.contains(Int(target)) })
      var expected: Double
      if cluster == 0 {
        expected = nll(try logits(h, weights.head), Int(target))
      } else {
        let tail = weights.tails[cluster - 1]
        let narrow = try logits(h, tail.outputProjection)
        expected =
          nll(try logits(h, weights.head), clusters.ranges[0].count + cluster - 1)
          + nll(
            try logits(narrow, tail.outputTable),
            Int(target) - clusters.ranges[cluster].lowerBound)
      }
      #expect(abs(expected - Double(nats[position])) < 1e-5, "\(position)")
    }
  }

  @Test func filesKeepTheClusters() throws {
    for variant in Self.variants {
      try withTemporaryDirectory { directory in
        let model = try variant.model(on: .cpu)
        try ModelFiles.write(model.config, model.parameters, directory: directory)
        let read = try ModelFiles.open(directory: directory, on: model.kernels)
        #expect(read.config == model.config && !read.hasOwnHead)
        #expect(try read.parameters.numbers() == model.parameters.numbers())
        var other = model.config
        other.cutoffs[other.cutoffs.count - 1] += 1
        try JSONFile.write(other, to: directory + "/" + ModelFiles.configName)
        #expect(throws: ModelError.self) { try ModelFiles.check(directory: directory) }
      }
    }
  }

  /// A model without them is stored as it always was.
  @Test func configurationWithoutClustersDoesNotNameThem() throws {
    let config = ModelConfig(vocabularySize: 61, width: 24, layers: 1, heads: 3, hidden: 40)
    let text = String(decoding: try JSONFile.encode(config), as: UTF8.self)
    #expect(!text.contains("adaptive"))
    var clustered = config
    clustered.cutoffs = [20]
    #expect(config.isLlama && !clustered.isLlama)
    let stored = String(decoding: try JSONFile.encode(clustered), as: UTF8.self)
    #expect(stored.contains("\"adaptive_cutoffs\"") && stored.contains("billion-word-decoder"))
  }

  @Test(arguments: [[0], [61], [20, 20], [30, 20], [-1]])
  func cutoffsThatCutNothingAreRefused(cutoffs: [Int]) {
    var config = ModelConfig(vocabularySize: 61, width: 24, layers: 1, heads: 3, hidden: 40)
    config.cutoffs = cutoffs
    #expect(throws: ModelError.self) { try config.validate() }
  }

  /// A list of any length has cutoffs that its model takes, each with words enough behind it to save time.
  @Test(
    arguments: [
      (1, []), (20_000, []), (20_001, [8_000]), (23_463, [8_000]), (40_000, [8_000]),
      (40_001, [8_000]), (50_000, [8_000]), (50_001, [8_000, 40_000]), (147_030, [8_000, 40_000]),
      (200_000, [8_000, 40_000]), (200_001, [8_000, 60_000]), (793_474, [8_000, 60_000]),
    ] as [(Int, [Int])])
  func everyListHasCutoffsThatItsModelTakes(words: Int, cutoffs: [Int]) throws {
    #expect(ModelConfig.defaultCutoffs(words: words) == cutoffs)
    var config = ModelConfig(
      vocabularySize: max(words, 4), width: 24, layers: 1, heads: 3, hidden: 40)
    config.cutoffs = ModelConfig.defaultCutoffs(words: words)
    try config.validate()
    if let clusters = config.clusters {
      #expect(clusters.ranges.allSatisfy { $0.count >= 8_000 })
    }
  }

  @Test func widthsAndSharesFollowTheCutoffs() throws {
    var config = ModelConfig(vocabularySize: 61, width: 24, layers: 1, heads: 3, hidden: 40)
    config.cutoffs = [20, 41]
    let clusters = try #require(config.clusters)
    #expect(clusters.ranges == [0..<20, 20..<41, 41..<61])
    #expect(clusters.widths == [24, 6, 1])
    #expect(clusters.headRows == 22)
    #expect(clusters.shares(of: [0, 19, 20, 60]) == [0.25, 0.25])
    var counts = Array(repeating: 1, count: 61)
    counts[0] = 40
    #expect(clusters.shares(counts: counts) == [0.21, 0.2])
    #expect(ParameterLayout(config).count == Self.expected(config))
    config.tiedHead = false
    #expect(ParameterLayout(config).count == Self.expected(config))
    // However often it is divided, something of a width is left.
    config.cutoffs = [10, 20, 30, 40]
    #expect(try #require(config.clusters).widths == [24, 6, 1, 1, 1])
  }

  /// Weights by hand: tables, entries, projections, one layer and the last gain.
  private static func expected(_ config: ModelConfig) -> Int {
    let tables = 20 * 24 + 21 * 6 + 20
    let projections = 2 * (24 * 6 + 24)
    let layer = 4 * 24 * 24 + 3 * 24 * 40 + 2 * 24
    return (config.tiedHead ? 1 : 2) * tables + 2 * 24 + projections + layer + 24
  }
}
