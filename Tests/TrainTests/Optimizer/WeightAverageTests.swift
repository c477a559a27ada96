import Backends
import Eval
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// The running average of the weights.
@Suite(.serialized) struct WeightAverageTests {
  private static func config(shares: Int? = nil) -> RunConfig {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 96, layers: 2, heads: 3, hidden: 352)
    model.initialDeviation = 0.1
    var config = RunConfig(
      preset: "test", model: model, steps: 12, batchTokens: 200,
      schedule: .warmupStableDecay(warmup: 2, decay: 0.5))
    config.optimizer.rate = 1e-2
    config.averageDecay = 0.6
    config.gradientShares = shares
    config.report.logEvery = 4
    config.report.validateEvery = 4
    config.report.checkpointEvery = 4
    return config
  }

  private static func file(_ run: String, _ name: String, step: Int = 12) throws -> [UInt8] {
    try Files.contents(of: run + "/" + CheckpointFolder.name(step: step) + "/" + name)
  }

  private static func timeless(_ run: String) throws -> [Metrics] {
    try MetricsLog.read(run: run).map { line in
      var line = line
      line.trainedSeconds = 0
      line.tokensPerSecond = nil
      return line
    }
  }

  @Test func itIsItsFormulaAndMovesNoWeight() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.report.logEvery = 1
      let trainer = try tinyTrainer(config, data, run: directory + "/run")
      var expected = trainer.weights.all.elements.map(Double.init)
      var lines: [Validation] = []
      trainer.report = { event in
        if case .averageValidated(let validation) = event { lines.append(validation) }
        guard case .step(let metrics, _) = event else { return }
        let decay = min(0.6, Double(1 + metrics.step) / Double(10 + metrics.step))
        for (index, weight) in trainer.weights.all.elements.enumerated() {
          expected[index] += (1 - decay) * (Double(weight) - expected[index])
        }
      }
      _ = try trainer.train()
      let average = try ModelFiles.open(
        directory: directory + "/run/step-00000012", weights: CheckpointFolder.averageName,
        on: Backend.ofThisProcessor
      ).parameters
      for (found, expected) in zip(average.all.elements, expected) {
        #expect(abs(Double(found) - expected) < 1e-5)
      }
      // Validated on its own, and logged beside the weights.
      #expect(lines.map(\.step) == [4, 8, 12])
      let logged = try MetricsLog.read(run: directory + "/run").filter {
        $0.kind == Metrics.averageKind
      }
      #expect(logged.map(\.natsPerToken) == lines.map(\.tally.natsPerToken))
      #expect(lines[2].tally.nats != trainer.best?.tally.nats)

      config.averageDecay = nil
      _ = try tinyTrainer(config, data, run: directory + "/plain").train()
      for name in [ModelFiles.weightsName, CheckpointFolder.optimizerName] {
        #expect(
          try Self.file(directory + "/plain", name) == Self.file(directory + "/run", name))
      }
      #expect(
        try Self.timeless(directory + "/plain")
          == Self.timeless(directory + "/run").filter { $0.kind != Metrics.averageKind })
      #expect(
        !Files.exists(directory + "/plain/step-00000012/" + CheckpointFolder.averageName))
    }
  }

  /// Stopped on some ranks, gone on with others.
  @Test(arguments: [OptimizerKind.adamW, .muon]) func ranksAndResumingChangeNoBit(
    kind: OptimizerKind
  ) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data").directory
      var config = Self.config(shares: 4)
      config.optimizer.kind = kind
      let settled = config
      func train(_ run: String, ranks: Int, resume: Bool = false, stopAt: Int? = nil) throws {
        _ = try ThreadRanks.run(ranks) { communicator in
          let trainer = try Trainer(
            config: settled, on: Backend.ofThisProcessor, with: communicator,
            dataSet: DataSet(directory: data), tokenTable: TinyDataSet.tokenTable,
            tokenizer: TinyDataSet.tokenizer, run: run, resume: resume)
          trainer.shouldStop = { trainer.step == stopAt }
          return try trainer.train()
        }
      }
      try train(directory + "/one", ranks: 1)
      try train(directory + "/one-again", ranks: 1, stopAt: 7)
      try train(directory + "/one-again", ranks: 1, resume: true)
      try train(directory + "/two", ranks: 2, stopAt: 7)
      try train(directory + "/two", ranks: 3, resume: true)
      for run in ["/one-again", "/two"] {
        for name in [
          ModelFiles.weightsName, CheckpointFolder.optimizerName, CheckpointFolder.averageName,
        ] {
          #expect(
            try Self.file(directory + run, name) == Self.file(directory + "/one", name),
            "\(run) \(name)")
        }
        #expect(try Self.timeless(directory + run) == Self.timeless(directory + "/one"))
      }
      try CheckpointFolder.verify(directory + "/two/step-00000012")
    }
  }

  @Test func itIsPartOfThePlan() throws {
    try withTemporaryDirectory { directory in
      let manifest = try TinyDataSet.write(to: directory + "/data").manifest
      var config = Self.config(shares: 4)
      func bytes(_ ranks: Int) throws -> Int {
        try TrainingPlan(
          config, on: Backend.ofThisProcessor, ranks: ranks, manifest: manifest
        ).parameterBytes
      }
      let with = try [1, 2].map(bytes)
      config.averageDecay = nil
      let without = try [1, 2].map(bytes)
      let weights = 4 * ParameterLayout(config.model).count
      #expect(with[0] - without[0] >= weights && with[0] - without[0] < weights + 1 << 16)
      // Two ranks share it.
      #expect((weights / 3..<weights * 3 / 4).contains(with[1] - without[1]))
    }
  }
}
