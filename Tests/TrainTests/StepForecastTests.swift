import LMData
import Model
import TestSupport
import Testing
import Train

/// What is planned is what a run takes, whatever the lengths of the sentences.
struct StepForecastTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let lengths: [[Int]]
    var streamLength: Int?
    var steps = 40
  }

  private static func spread(_ count: Int, _ seed: Int, _ range: Range<Int>) -> [Int] {
    (0..<count).map { range.lowerBound + ($0 &* 2_654_435_761 &+ seed) % 9_973 % range.count }
  }

  static let cases = [
    Case(testDescription: "as usual", lengths: [spread(300, 1, 2..<30), spread(200, 2, 2..<30)]),
    Case(testDescription: "all longer than a step", lengths: [spread(30, 3, 101..<160)]),
    Case(testDescription: "one huge", lengths: [spread(40, 4, 2..<20) + [2_000]], steps: 12),
    Case(testDescription: "all equal", lengths: [Array(repeating: 25, count: 90)]),
    Case(testDescription: "little more than half a step", lengths: [spread(80, 5, 51..<55)]),
    Case(
      testDescription: "shards unlike each other",
      lengths: [spread(90, 6, 1..<6), spread(90, 7, 60..<90)]),
    Case(testDescription: "empty sentences", lengths: [Array(repeating: 1, count: 500)]),
    Case(testDescription: "one sentence, one step", lengths: [[3]], steps: 1),
    Case(testDescription: "windows", lengths: [spread(200, 8, 2..<30)], streamLength: 32),
    Case(
      testDescription: "windows beyond a step", lengths: [spread(200, 9, 2..<30)], streamLength: 150
    ),
  ]

  private static func config(_ test: Case) -> RunConfig {
    let model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 8, layers: 1, heads: 1, hidden: 8)
    var config = RunConfig(
      preset: "test", model: model, steps: test.steps, batchTokens: 100,
      schedule: .warmupStableDecay(warmup: 2, decay: 0.5))
    config.data.streamLength = test.streamLength
    config.report.validateEvery = 0
    config.report.checkpointEvery = 0
    config.report.logEvery = 1
    config.safety.spikeDeviations = 0
    return config
  }

  @Test(arguments: cases) func aRunTakesWhatWasPlanned(test: Case) throws {
    let folder = try TemporaryFolder()
    let data = try TinyDataSet.write(to: folder.path + "/data", lengths: test.lengths)
    let config = Self.config(test)
    let plan = try TrainingPlan(
      config, manifest: data.manifest, forecast: StepForecast(config, dataSet: data))
    var taken: Metrics?
    let trainer = try Trainer(
      config: config, dataSet: data, tokenTable: TinyDataSet.tokenTable,
      tokenizer: TinyDataSet.tokenizer, run: folder.path + "/run", resume: false
    ) { if case .step(let metrics, _) = $0 { taken = metrics } }
    #expect(try trainer.train() == .finished)
    #expect(plan.isExact)
    #expect(plan.tokens == taken?.tokens, "\(test)")
    let all = test.lengths.joined().reduce(0, +)
    #expect(abs(plan.epochs - Double(plan.tokens) / Double(all)) < 1e-9)

    // The work is that of the very sequences.
    let source = try TrainingSource(
      dataSet: data, split: "train", seed: config.seed, mode: config.data.mode, budget: 100)
    var lengths: [Int] = []
    for _ in 0..<test.steps {
      let batch = try source.next().batch
      lengths += (0..<batch.sequences).map { batch.range(of: $0).count }
    }
    let flops = Cost(config.model).training(lengths: lengths)
    #expect(abs(plan.trainingFlopsPerToken * Double(plan.tokens) / flops - 1) < 1e-9)
    #expect(plan.sequencesBeyondStep == lengths.count { $0 > 100 })
    #expect(plan.longestBeyondStep == lengths.filter { $0 > 100 }.max() ?? 0)
  }

  /// Of a long run only the beginning is foreseen one by one.
  @Test(arguments: cases.filter { $0.steps == 40 }, [300, 4_000])
  func aLongRunIsEstimated(test: Case, idsReadInOrder: Int) throws {
    let folder = try TemporaryFolder()
    let data = try TinyDataSet.write(to: folder.path + "/data", lengths: test.lengths)
    var config = Self.config(test)
    config.steps = 5_000
    let exact = try StepForecast(config, dataSet: data)
    let estimate = try StepForecast(config, dataSet: data, idsReadInOrder: idsReadInOrder)
    #expect(exact.isExact && !estimate.isExact)
    #expect(estimate.steps == exact.steps)
    #expect(abs(estimate.tokens / exact.tokens - 1) < 0.05, "\(estimate.tokens), \(exact.tokens)")
    let cost = Cost(config.model)
    let work = cost.work(estimate.sequences).training / cost.work(exact.sequences).training
    #expect(abs(work - 1) < 0.05, "\(work)")
  }

  @Test func stepsLargerThanTheDataAreWholeSteps() {
    let forecast = StepForecast(steps: 3, lengths: [28], budget: 1 << 26)
    #expect(abs(forecast.tokens / Double(3 << 26) - 1) < 0.001)
    #expect(abs(forecast.sequences[28, default: 0] * 28 / Double(3 << 26) - 1) < 0.001)
  }
}
