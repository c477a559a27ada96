import Deterministic
import Model
import Storage
import Tensor
import TestSupport
import Testing

/// Rows of hashed n-grams: which a position has, their gradient, their file.
@Suite(.serialized) struct NgramTests {
  private static let variant = Variant.all.first { $0.config.trigramRows > 0 }

  private static func ngram(order: Int, count: Int) -> NgramRows {
    var config = ModelConfig(vocabularySize: 61, width: 8, layers: 1, heads: 1, hidden: 8)
    (config.bigramRows, config.trigramRows) = order == 2 ? (count, 0) : (0, count)
    return config.ngrams[0]
  }

  /// As `scripts/reference/score.py` has them, computed there.
  @Test func rowsAreThoseOfTheDefinition() {
    let ids: [Int32] = [1, 5, 9, 1, 5]
    #expect(
      Self.ngram(order: 2, count: 1_000).rows(ids: ids, starts: [0, 3, 5]) == [
        931, 527, 17, 931, 527,
      ])
    #expect(
      Self.ngram(order: 3, count: 1 << 20).rows(ids: ids, starts: [0, 3, 5]) == [
        390123, 273741, 238231, 390123, 273741,
      ])
  }

  /// A step has a gradient for a row of every position, and never for more rows than there are.
  @Test func gradientsAreNoMoreThanRows() {
    var config = ModelConfig(vocabularySize: 61, width: 8, layers: 1, heads: 1, hidden: 8)
    (config.bigramRows, config.trigramRows) = (1 << 18, 1 << 19)
    #expect(NgramGradients.rows(config, positions: 3_072) == 6_144)
    #expect(NgramGradients.rows(config, positions: 300_000) == (1 << 18) + 300_000)
    #expect(NgramGradients.rows(config, positions: 1 << 26) == 3 << 18)
    config.bigramRows = 0
    #expect(NgramGradients.rows(config, positions: 1 << 26) == 1 << 19)
  }

  /// What stands before a sentence, or after a token, changes no row.
  @Test(arguments: [2, 3]) func rowsKnowTheirSentenceUpToATokenAlone(order: Int) {
    let ngram = Self.ngram(order: order, count: 1 << 20)
    let ids: [Int32] = [1, 7, 8, 9, 1, 7, 8, 9]
    let rows = ngram.rows(ids: ids, starts: [0, 4, 8])
    #expect(rows[..<4] == rows[4...])
    #expect(Set(rows).count == 4)
    var changed = ids
    changed[2] = 30
    let others = ngram.rows(ids: changed, starts: [0, 4, 8])
    #expect(others[..<2] == rows[..<2] && others[4...] == rows[4...])
    #expect(others[2] != rows[2] && others[3] != rows[3])
  }

  @Test(arguments: TestBackend.ofTheProgram) func gradientIsTheSlope(backend: TestBackend) throws {
    let model = try #require(Self.variant).model(on: backend)
    let text = TinySequences(lengths: [5, 1, 19, 34], vocabulary: 61, seed: 5)
    let touched = TouchedRows(model.config, ids: text.ids, starts: text.starts)
    let sums = try model.kernels.makeView(
      rows: NgramGradients.rows(model.config, positions: text.ids.count),
      columns: model.config.width)
    let gradients = NgramGradients(touched, sums: sums)
    let scale = 1 / Float(text.ids.count)
    _ = try model.accumulateGradients(
      ids: text.ids, targets: text.targets, starts: text.starts, gradientScale: scale,
      dropout: nil, into: try model.makeGradients(), ngrams: gradients)
    func loss() throws -> Double {
      try model.nllNats(ids: text.ids, targets: text.targets, starts: text.starts)
        .reduce(0) { $0 + Double($1) } * Double(scale)
    }
    let tables = try #require(model.parameters.ngrams?.tables)
    for (index, table) in tables.enumerated() {
      let weights = table.rows
      let direction = CounterRandom(seed: 9, UInt64(index)).gaussians(
        0..<weights.count, deviation: 1)
      let start = try model.kernels.numbers(of: weights)
      let gradient = try model.kernels.numbers(of: gradients.part(index))
      let width = model.config.width
      var slope = 0.0
      for (place, row) in touched.rows[index].enumerated() {
        for column in 0..<width {
          slope +=
            Double(gradient[place * width + column]) * Double(direction[Int(row) * width + column])
        }
      }
      func moved(_ factor: Float) throws -> Double {
        try model.kernels.write(zip(start, direction).map { $0 + factor * $1 }, to: weights)
        return try loss()
      }
      let step: Float = 2e-3
      let wide = (try moved(2 * step) - (try moved(-2 * step))) / Double(4 * step)
      let narrow = (try moved(step) - (try moved(-step))) / Double(2 * step)
      let central = (4 * narrow - wide) / 3
      try model.kernels.write(start, to: weights)
      #expect(
        abs(central - slope) < 4e-3 * max(abs(slope), 0.05),
        "\(table.ngram.name): \(slope) against \(central)")
    }
  }

  @Test func tablesAreKeptInTheirOwnFile() throws {
    try withTemporaryDirectory { directory in
      let model = try #require(Self.variant).model(on: .cpu)
      try ModelFiles.write(model.config, model.parameters, directory: directory)
      let read = try ModelFiles.open(directory: directory, on: model.kernels)
      let pairs = zip(
        try #require(read.parameters.ngrams).tables, try #require(model.parameters.ngrams).tables)
      for (a, b) in pairs {
        #expect(try model.kernels.numbers(of: a.rows) == model.kernels.numbers(of: b.rows))
      }
      #expect(read.config == model.config)
      _ = try ModelFiles.check(directory: directory)
      var other = model.config
      other.bigramRows += 1
      try JSONFile.write(other, to: directory + "/" + ModelFiles.configName)
      #expect(throws: ModelError.self) {
        try ModelFiles.open(directory: directory, on: model.kernels)
      }
      #expect(throws: ModelError.self) { try ModelFiles.check(directory: directory) }
    }
  }

  /// Rows that nobody would read are not passed over, as no tensor of the weights is.
  @Test func rowsThatTheConfigurationDoesNotHaveAreRefused() throws {
    try withTemporaryDirectory { directory in
      let model = try #require(Self.variant).model(on: .cpu)
      try ModelFiles.write(model.config, model.parameters, directory: directory)
      var without = model.config
      (without.bigramRows, without.trigramRows) = (0, 0)
      var half = model.config
      half.trigramRows = 0
      for (config, part) in [
        (without, "bigram_rows and trigram_rows in config.json are 0"),
        (half, "is not expected; the tables belong to another configuration"),
      ] {
        try JSONFile.write(config, to: directory + "/" + ModelFiles.configName)
        for read in [
          { _ = try ModelFiles.open(directory: directory, on: model.kernels) },
          { _ = try ModelFiles.check(directory: directory) },
          { try ModelFiles.checkWeights(config, directory: directory) },
          { _ = try ModelFiles.readWeights(config, directory: directory, on: model.kernels) },
          {
            var parameters = try Parameters(config, on: model.kernels)
            parameters.ngrams = try NgramTables(config, isTrained: false, on: model.kernels)
            try ModelFiles.readWeights(into: parameters, config, directory: directory)
          },
        ] as [() throws -> Void] {
          let error = #expect(throws: ModelError.self, "\(part)") { try read() }
          #expect(error.map { "\($0)".contains(NgramFile.name) && "\($0)".contains(part) } == true)
        }
      }
      // Without the file it is a model of its own.
      try Files.remove(directory + "/" + NgramFile.name)
      try JSONFile.write(without, to: directory + "/" + ModelFiles.configName)
      #expect(try ModelFiles.open(directory: directory, on: model.kernels).parameters.ngrams == nil)
    }
  }

  /// Whoever does not read the rows must not go on without them.
  @Test func modelWithoutItsRowsIsRefused() throws {
    let config = try #require(Self.variant).config
    let kernels = try TestBackend.cpu.makeKernels()
    let parameters = try Parameters(config, on: kernels)
    #expect(throws: ModelError.self) {
      _ = try Transformer(config, parameters: parameters, kernels: kernels)
    }
  }
}
