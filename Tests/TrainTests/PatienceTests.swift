import Host
import LMData
import Model
import Storage
import TestSupport
import Testing
import Train

/// A run that ends because validation gets no better, and the name of the best.
@Suite(.serialized) struct PatienceTests {
  private static func config(patience: Int?) -> RunConfig {
    let model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 24, layers: 1, heads: 3, hidden: 40)
    var config = RunConfig(
      preset: "test", model: model, steps: 40, batchTokens: 100,
      schedule: .warmupStableDecay(warmup: 2, decay: 0.5))
    // Too high to get better for long.
    config.optimizer.rate = 0.3
    config.report.validateEvery = 2
    config.report.checkpointEvery = 10
    config.report.keepLast = 1
    config.report.patience = patience
    return config
  }

  private static func best(_ run: String) throws -> String {
    String(decoding: try Files.contents(of: run + "/best"), as: UTF8.self)
  }

  @Test func itEndsAfterAsManyValidationsAndGoesOnWithMore() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let run = directory + "/run"
      let first = try tinyTrainer(Self.config(patience: 3), data, run: run)
      let outcome = try first.train()
      let best = try #require(first.best)
      #expect(best.step < 30)
      #expect(outcome == .stoppedEarly(step: best.step + 6))
      #expect(CheckpointFolder.steps(ofRun: run) == [best.step, best.step + 6])
      #expect(try Self.best(run) == CheckpointFolder.name(step: best.step) + "\n")
      #expect(
        try CheckpointFolder.resolve(run + "/best", note: { _ in })
          == run + "/" + CheckpointFolder.name(step: best.step))
      #expect(
        try CheckpointFolder.resolve(run + "/latest", note: { _ in })
          == run + "/" + CheckpointFolder.name(step: best.step + 6))

      // The same once more takes no step; without it the run goes on, to the bits of one that never had it.
      let again = try tinyTrainer(Self.config(patience: 3), data, run: run, resume: true)
      #expect(try again.train() == outcome)
      let more = try tinyTrainer(Self.config(patience: nil), data, run: run, resume: true)
      #expect(try more.train() == .finished)
      let whole = try tinyTrainer(Self.config(patience: nil), data, run: directory + "/whole")
      #expect(try whole.train() == .finished)
      #expect(more.weights.all.elements == whole.weights.all.elements)
    }
  }

  /// Waiting is counted across interruptions.
  @Test func anInterruptedRunEndsAtTheSameStep() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let config = Self.config(patience: 3)
      let outcome = try tinyTrainer(config, data, run: directory + "/whole").train()
      guard case .stoppedEarly(let step) = outcome else {
        Issue.record("\(outcome)")
        return
      }
      let first = try tinyTrainer(config, data, run: directory + "/parts")
      first.shouldStop = { first.step == step - 1 }
      #expect(try first.train() == .interrupted(step: step - 1))
      let second = try tinyTrainer(config, data, run: directory + "/parts", resume: true)
      #expect(try second.train() == outcome)
    }
  }

  @Test func theNameIsCheckedAndPutRight() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let run = directory + "/run"
      let config = Self.config(patience: 3)
      let trainer = try tinyTrainer(config, data, run: run)
      _ = try trainer.train()
      try RunFolder.write(config, run: run)
      let named = try Self.best(run)
      func finding() throws -> RunVerification.Finding? {
        try RunVerification(run).run().first { $0.path == run + "/best" }
      }
      #expect(try finding()?.isGood == true)
      let other = CheckpointFolder.latest(step: trainer.step)
      #expect(named != String(decoding: other, as: UTF8.self))
      try AtomicFile.write(other, to: run + "/best")
      #expect(try finding()?.isGood == false)
      // The state decides, which has a sum.
      let best = try CheckpointFolder.resolve(run + "/best", note: { _ in })
      #expect(best + "\n" == run + "/" + named)
      _ = try tinyTrainer(config, data, run: run, resume: true).train()
      #expect(try Self.best(run) == named)

      try AtomicDirectory.remove(best)
      #expect(throws: CheckpointError.self) {
        try CheckpointFolder.resolve(run + "/best", note: { _ in })
      }
    }
  }

  @Test func whatCannotBeIsASentence() throws {
    var config = Self.config(patience: 0)
    #expect(throws: TrainingError.invalid("patience is 0, expected 1 or more")) {
      try config.validate()
    }
    config.report.patience = 2
    config.report.validateEvery = 0
    #expect { try config.validate() } throws: { "\($0)".contains("--validate-every") }
    config.report.patience = nil
    config.averageDecay = 1
    #expect { try config.validate() } throws: { "\($0)".contains("averageDecay is 1.0") }
    config.averageDecay = 0.9
    config.model.bigramRows = 10
    #expect { try config.validate() } throws: { "\($0)".contains("leave out --ema") }
  }

  @Test func epochsAreTheStepsThatCompleteThem() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config(patience: nil)
      let totals = data.manifest.totals(of: "train")
      for (epochs, ids) in [(0.5, 1 << 22), (2, 1 << 22), (2, 1_000)] as [(Double, Int)] {
        config.steps = try StepForecast.steps(
          for: epochs, config, manifest: data.manifest, dataSet: data, idsReadInOrder: ids)
        func tokens(_ steps: Int) throws -> Double {
          config.steps = steps
          return try StepForecast(config, dataSet: data).tokens
        }
        let steps = config.steps
        let wanted = epochs * Double(totals.tokens + totals.sentences)
        if ids > 1_000 {
          #expect(try tokens(steps) >= wanted && tokens(steps - 1) < wanted)
        } else {
          #expect(abs(try tokens(steps) - wanted) < 0.05 * wanted)
        }
      }
      #expect {
        try StepForecast.steps(for: 1e12, config, manifest: data.manifest, dataSet: data)
      } throws: { "\($0)".contains("--epochs") }
    }
  }
}
