import LMData
import Model
import Storage
import TestSupport
import Testing
import Train

struct PresetTests {
  @Test(arguments: Preset.all.map(\.name)) func isARunThatSurvivesJSON(name: String) throws {
    let config = try Preset.named(name).config(vocabularySize: 8_000)
    try config.validate()
    #expect(config.preset == name)
    let bytes = try JSONFile.encode(config)
    #expect(try JSONFile.decode(RunConfig.self, from: bytes, path: "config.json") == config)
  }

  @Test func sizesAreThoseOfTheLiterature() throws {
    func millions(_ name: String, _ vocabulary: Int) throws -> Double {
      let config = try Preset.named(name).config(vocabularySize: vocabulary)
      return Double(ParameterLayout(config.model).count) / 1e6
    }
    #expect(abs(try millions("h1d-53m", 33_300) - 53.0) < 0.1)
    #expect(abs(try millions("h1d-144m", 33_300) - 143.8) < 0.2)
    #expect(abs(try millions("flax-lm1b", 30_000) - 49.7) < 0.2)
    #expect(abs(try millions("t2t-50m", 32_000) - 51.7) < 0.2)
    // A plan without data takes the same vocabularies.
    for (name, tokens) in [("h1d-53m", 33_300), ("flax-lm1b", 30_000), ("t2t-50m", 32_000)] {
      #expect(try Preset.named(name).vocabularySize == tokens)
    }
  }

  /// The epoch of the benchmark has "about 0.9 G tokens".
  @Test func theBenchmarkIsPlannedWithoutIt() throws {
    for preset in Preset.all {
      let manifest = AssumedData.manifest(vocabularySize: preset.vocabularySize)
      let config = preset.config(vocabularySize: preset.vocabularySize)
      let forecast = StepForecast(
        steps: config.steps, lengths: AssumedData.lengths, budget: config.batchTokens)
      let plan = try TrainingPlan(config, manifest: manifest, forecast: forecast)
      #expect(plan.tokensPerEpoch == 885_316_397, "\(plan.tokensPerEpoch)")
      // Steps take whole sentences, and are a little less than full.
      let share = Double(plan.tokens) / Double(config.steps * config.batchTokens)
      #expect(share < 1 && share > 1 - 30 / Double(config.batchTokens), "\(share)")
      #expect(plan.sequencesBeyondStep == 0)
      #expect(plan.parameters == ParameterLayout(config.model).count)
    }
    // The lengths have the mean of the data, and the deviation that is stated.
    let lengths = AssumedData.lengths.map(Double.init)
    let mean = lengths.reduce(0, +) / Double(lengths.count)
    #expect(abs(mean / (885_316_397 / 30_301_028) - 1) < 0.01, "\(mean)")
    let squares = lengths.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(lengths.count)
    #expect(abs(squares.squareRoot() / mean - 0.5) < 0.01)
    #expect(AssumedData.manifest(vocabularySize: 9).totals(of: "train").words == 768_648_884)
  }

  /// The rule of `h1d-53m-fast`, from the numbers of `news`.
  @Test func theRecipeIsScaledByItsRule() throws {
    let small = try Preset.named("news").config(vocabularySize: 8_000)
    let large = try Preset.named("h1d-53m-fast").config(vocabularySize: 33_300)
    let paper = try Preset.named("h1d-53m").config(vocabularySize: 33_300)
    #expect(large.model.attention == paper.model.attention)
    #expect(large.model.width == paper.model.width && large.batchTokens == paper.batchTokens)
    let rate =
      small.optimizer.rate * (Double(large.batchTokens) / Double(small.batchTokens)).squareRoot()
      * (Double(small.model.width) / Double(large.model.width)).squareRoot()
    #expect(abs(large.optimizer.rate / rate - 1) < 1e-3, "\(rate)")
    let share = { (run: RunConfig) in
      Double(try #require(run.sampledSoftmax).candidates) / Double(run.model.vocabularySize)
    }
    #expect(abs(try share(large) / share(small) - 1) < 0.05)
    // The text is 30 times as long.
    #expect(large.model.bigramRows == 4 * small.model.bigramRows)
    #expect(large.model.trigramRows == 4 * small.model.trigramRows)
    let epoch = Double(AssumedData.words + AssumedData.sentences) * AssumedData.tokensPerWord
    #expect(Double(large.steps * large.batchTokens) <= epoch)
    #expect(Double(large.steps * large.batchTokens) > 0.99 * epoch)
    #expect(large.schedule.warmup * 100 == large.steps)
    // A vocabulary with little to leave out is not sampled.
    #expect(try Preset.named("news").config(vocabularySize: 4_096).sampledSoftmax == nil)
  }

  @Test func unknownNamesListTheKnown() {
    let error = #expect(throws: TrainingError.self) { try Preset.named("huge") }
    let text = error?.description ?? ""
    #expect(text.contains("huge") && Preset.all.allSatisfy { text.contains($0.name) })
  }

  @Test func impossibleRunsAreRefused() throws {
    let good = try Preset.named("quickstart").config(vocabularySize: 500)
    let changes: [(inout RunConfig) -> Void] = [
      { $0.steps = 0 }, { $0.batchTokens = 0 }, { $0.dropout = 1 }, { $0.dropout = -0.1 },
      { $0.optimizer.rate = 0 }, { $0.optimizer.rate = .nan }, { $0.optimizer.beta2 = 1 },
      { $0.optimizer.epsilon = 0 }, { $0.optimizer.momentum = 1 }, { $0.report.keepLast = 0 },
      { $0.data.streamLength = 0 },
      { $0.schedule = .cosine(warmup: -1, floor: 0) }, { $0.model.heads = 7 },
    ]
    for change in changes {
      var config = good
      change(&config)
      #expect(throws: (any Error).self) { try config.validate() }
    }
  }
}
