import Backends
import Deterministic
import Foundation
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// Whole runs on a tiny data set.
@Suite(.serialized) struct TrainerTests {
  private static func config(_ attention: AttentionConfig = .softmax) -> RunConfig {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 24, layers: 2, heads: 3, hidden: 40)
    model.initialDeviation = 0.1
    var config = RunConfig(
      preset: "test", model: model, steps: 24, batchTokens: 200,
      schedule: .warmupStableDecay(warmup: 4, decay: 0.5))
    config.model.use(attention)
    config.optimizer.rate = 1e-2
    config.microBatchTokens = 80
    config.dropout = 0.1
    config.report.logEvery = 5
    config.report.validateEvery = 8
    config.report.checkpointEvery = 8
    return config
  }

  /// Interrupted at a step, resumed from the disk, as often as asked.
  private static func interrupted(
    _ config: RunConfig, _ data: DataSet, run: String, at steps: [Int]
  ) throws -> Trainer {
    for (index, step) in steps.enumerated() {
      let trainer = try tinyTrainer(config, data, run: run, resume: index > 0)
      trainer.shouldStop = { trainer.step == step }
      #expect(try trainer.train() == .interrupted(step: step))
    }
    let trainer = try tinyTrainer(config, data, run: run, resume: true)
    #expect(trainer.step == steps.last)
    #expect(try trainer.train() == .finished)
    return trainer
  }

  /// A peak measured while other programs held the cores is measured again, not reported.
  @Test func shareOfTooSmallPeakIsNotReported() throws {
    try withTemporaryDirectory { directory in
      var config = Self.config()
      config.steps = 2
      let trainer = try tinyTrainer(
        config, TinyDataSet.write(to: directory + "/data"), run: directory + "/run")
      trainer.peak = 1
      trainer.measurePeak = { _ in 1e15 }
      var shares: [Double?] = []
      trainer.report = {
        if case .step(let metrics, _) = $0 { shares.append(metrics.peakFraction) }
      }
      _ = try trainer.train()
      #expect(try #require(trainer.peak) > 1e6)
      #expect(shares.count == 2 && shares.allSatisfy { $0 ?? 0 <= 1.25 })
    }
  }

  /// It is measured in the memory of the activations, which no later step reads.
  @Test func measuringThePeakAgainMovesNoBit() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.steps = 3
      config.report.logEvery = 1
      var filled = 0
      let weights = try [true, false].map { measuresAgain in
        let run = "\(directory)/\(measuresAgain)"
        let trainer = try tinyTrainer(config, data, run: run)
        if measuresAgain { trainer.peak = 1 }
        trainer.measurePeak = { idle in
          guard let idle else { return nil }
          filled += 1
          let all = View(idle, offset: 0, rows: 1, columns: idle.count)
          Backend.ofThisProcessor.fill(all, with: .nan)
          return 1
        }
        _ = try trainer.train()
        return try Files.contents(of: run + "/step-00000003/model.safetensors")
      }
      #expect(filled == 3)
      #expect(weights[0] == weights[1])
    }
  }

  @Test(arguments: [
    AttentionConfig.softmax, .hierarchical(blockSize: 4, query: .coarse),
    .hierarchical(blockSize: 4, query: .fine), AttentionConfig(YosoOptions()),
    .combiner(.logsparse), .combiner(.rowmajor, segment: 3, address: .proj),
  ])
  func resumingChangesNoBit(attention: AttentionConfig) throws {
    try Self.expectSameBitsAfterResuming(Self.config(attention))
  }

  @Test func resumingWithMuonChangesNoBit() throws {
    var config = Self.config(.hierarchical(blockSize: 4, query: .coarse))
    config.optimizer.kind = .muon
    try Self.expectSameBitsAfterResuming(config)
  }

  /// A run may be made longer or shorter while no step taken would have had another rate.
  @Test(arguments: [
    (Schedule.inverseSquareRoot(warmup: 4), 9, 24),
    (.warmupStableDecay(warmup: 4, decay: 0.5), 9, 24),
    (.warmupStableDecay(warmup: 4, decay: 0.5), 40, 24),
  ])
  func changedLengthIsThatOfOneRun(schedule: Schedule, planned: Int, steps: Int) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.schedule = schedule
      config.steps = steps
      let whole = try tinyTrainer(config, data, run: directory + "/whole")
      #expect(try whole.train() == .finished)
      config.steps = planned
      let first = try tinyTrainer(config, data, run: directory + "/parts")
      first.shouldStop = { first.step == 5 }
      _ = try first.train()
      config.steps = steps
      let second = try tinyTrainer(config, data, run: directory + "/parts", resume: true)
      #expect(second.step == 5)
      #expect(try second.train() == .finished)
      #expect(second.weights.all.elements == whole.weights.all.elements)
    }
  }

  /// Half a cosine, a decay that has begun, and fewer steps than were taken.
  @Test(arguments: [
    (Schedule.cosine(warmup: 4, floor: 0.1), 24, 5, 48),
    (.warmupStableDecay(warmup: 4, decay: 0.5), 8, 6, 24),
    (.warmupStableDecay(warmup: 4, decay: 0.5), 24, 9, 8),
  ])
  func otherRatesForStepsTakenAreRefused(
    schedule: Schedule, planned: Int, taken: Int, steps: Int
  ) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.schedule = schedule
      config.steps = planned
      let first = try tinyTrainer(config, data, run: directory + "/run")
      first.shouldStop = { first.step == taken }
      #expect(try first.train() == .interrupted(step: taken))
      config.steps = steps
      let error = #expect(throws: TrainingError.self) {
        _ = try tinyTrainer(config, data, run: directory + "/run", resume: true)
      }
      #expect("\(try #require(error))".contains("give --steps \(planned)"))
    }
  }

  private static func expectSameBitsAfterResuming(_ config: RunConfig) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let whole = try tinyTrainer(config, data, run: directory + "/whole")
      #expect(try whole.train() == .finished)
      // Three different steps, drawn from the attention's name: other places in the window of the
      // metrics, in the shard and beside the checkpoints for each.
      let name = config.model.attention.kind.rawValue
      let random = CounterRandom(seed: UInt64(name.utf8.count), 24)
      let steps = Set((0..<9).map { 1 + Int(random.bits($0) % 23) }).sorted().prefix(3)
      let parts = try Self.interrupted(
        config, data, run: directory + "/parts", at: [1] + steps.filter { $0 > 1 })
      #expect(parts.weights.all.elements == whole.weights.all.elements)
      for name in ["model.safetensors", "optimizer.safetensors", "config.json", "tokenizer.model"] {
        let path = "/" + CheckpointFolder.name(step: 24) + "/" + name
        #expect(
          try Files.contents(of: directory + "/whole" + path)
            == Files.contents(of: directory + "/parts" + path), "\(name)")
      }
      // All but the times of metrics and state.
      let lines = try ["whole", "parts"].map { run in
        try Self.metrics(directory + "/" + run).map {
          var line = $0
          (line.tokensPerSecond, line.trainedSeconds) = (nil, 0)
          return line
        }
      }
      #expect(lines[0].count == 8 && lines[0] == lines[1])
    }
  }

  private static func metrics(_ run: String) throws -> [Metrics] {
    try Files.contents(of: run + "/" + MetricsLog.name).split(separator: 10).map {
      try JSONDecoder().decode(Metrics.self, from: Data($0))
    }
  }

  @Test func threadsChangeNoBit() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.steps = 6
      let weights = try [1, 2, 3].map { threads in
        try withThreads(threads) {
          let trainer = try tinyTrainer(config, data, run: directory + "/run\(threads)")
          _ = try trainer.train()
          return trainer.weights.all.elements
        }
      }
      #expect(weights[0] == weights[1] && weights[0] == weights[2])
    }
  }

  @Test func lossFallsAndIsReported() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data", sentences: 150)
      var config = Self.config()
      config.steps = 60
      config.dropout = 0
      let run = directory + "/run"
      let trainer = try tinyTrainer(config, data, run: run)
      var events: [TrainingEvent] = []
      trainer.report = { events.append($0) }
      _ = try trainer.train()
      let metrics = try Self.metrics(run)
      let train = metrics.filter { $0.kind == "train" }
      #expect(train.map(\.step) == Array(stride(from: 5, through: 60, by: 5)))
      #expect(train.allSatisfy { $0.natsPerToken.isFinite && $0.gradientNorm ?? 0 > 0 })
      // Uniform guessing costs ln 61 = 4.11 nats.
      #expect(train[0].natsPerToken < 4.6)
      let valid = metrics.filter { $0.kind == "valid" }
      #expect(valid.last.map { $0.natsPerToken < 2.6 } == true, "\(valid.map(\.natsPerToken))")
      let validated = events.count { if case .validated = $0 { true } else { false } }
      #expect(validated == valid.count)
    }
  }

  @Test func microBatchesAddUpToTheBatch() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.steps = 1
      config.dropout = 0
      // Plain gradient descent: with epsilon this large AdamW does not amplify rounding.
      config.optimizer.epsilon = 1e6
      config.optimizer.rate = 1e6
      config.optimizer.weightDecay = 0
      config.optimizer.clipNorm = 0
      let weights = try [25, 80, 10_000].map { positions in
        config.microBatchTokens = positions
        let trainer = try tinyTrainer(config, data, run: directory + "/run\(positions)")
        _ = try trainer.train()
        return trainer.weights.all.elements
      }
      for other in weights.dropFirst() {
        let largest = zip(weights[0], other).map { abs($0 - $1) }.max() ?? .infinity
        #expect(largest < 2e-6)
      }
    }
  }

  @Test func damagedCheckpointsAreSkipped() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let config = Self.config()
      let run = directory + "/run"
      _ = try tinyTrainer(config, data, run: run).train()
      let newest = run + "/" + CheckpointFolder.name(step: 24) + "/model.safetensors"
      var bytes = try Files.contents(of: newest)
      bytes[bytes.count / 2] ^= 4
      try AtomicFile.write(bytes, to: newest)
      var skipped: [String] = []
      let trainer = try Trainer(
        config: config, dataSet: data, tokenTable: TinyDataSet.tokenTable,
        tokenizer: TinyDataSet.tokenizer, run: run, resume: true
      ) { if case .skippedCheckpoint(let reason) = $0 { skipped.append(reason) } }
      #expect(trainer.step == 16)
      #expect(skipped.count == 1 && skipped[0].contains(newest))
      #expect(try trainer.train() == .finished)
      try CheckpointFolder.verify(run + "/" + CheckpointFolder.name(step: 24))
    }
  }

  @Test func rotationKeepsNewestBestAndMultiples() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.report.validateEvery = 0
      config.report.checkpointEvery = 2
      config.report.keepLast = 2
      config.report.keepEvery = 10
      let run = directory + "/run"
      _ = try tinyTrainer(config, data, run: run).train()
      #expect(CheckpointFolder.steps(ofRun: run) == [10, 20, 22, 24])
      let resolved = try CheckpointFolder.resolve(run) { _ in }
      #expect(resolved == run + "/" + CheckpointFolder.name(step: 24))
    }
  }

  /// A damaged checkpoint that is newer than the one resumed from must not push good ones out.
  @Test func rotationDoesNotCountWhatResumePassedOver() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.report.validateEvery = 0
      config.report.checkpointEvery = 4
      config.report.keepLast = 3
      let run = directory + "/run"
      _ = try tinyTrainer(config, data, run: run).train()
      for step in [20, 24] {
        try AtomicFile.write(
          [1, 2, 3], to: run + "/" + CheckpointFolder.name(step: step) + "/state.json")
      }
      config.report.keepLast = 1
      config.report.checkpointEvery = 3
      let trainer = try tinyTrainer(config, data, run: run, resume: true)
      #expect(trainer.step == 16)
      trainer.shouldStop = { trainer.step == 18 }
      _ = try trainer.train()
      try CheckpointFolder.verify(CheckpointFolder.resolve(run) { _ in })
      #expect(try tinyTrainer(config, data, run: run, resume: true).step == 18)
    }
  }

  @Test func anotherConfigurationDoesNotResume() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let config = Self.config()
      let run = directory + "/run"
      let trainer = try tinyTrainer(config, data, run: run)
      trainer.shouldStop = { trainer.step == 3 }
      _ = try trainer.train()
      let changes: [(inout RunConfig) -> Void] = [
        { $0.seed = 9 }, { $0.optimizer.rate = 0.5 }, { $0.steps = 2 }, { $0.model.hidden = 48 },
        { $0.schedule = .inverseSquareRoot(warmup: 4) }, { $0.batchTokens = 100 },
      ]
      for change in changes {
        var other = config
        change(&other)
        #expect(throws: TrainingError.self) {
          try tinyTrainer(other, data, run: run, resume: true)
        }
      }
      var reported = config
      reported.report.logEvery = 1
      #expect(try tinyTrainer(reported, data, run: run, resume: true).step == 3)
    }
  }

  @Test func otherDataAndOccupiedFoldersAreRefused() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let other = try TinyDataSet.write(to: directory + "/other", seed: 2)
      var config = Self.config()
      config.steps = 8
      let run = directory + "/run"
      _ = try tinyTrainer(config, data, run: run).train()
      #expect(throws: TrainingError.exists(run: run)) { try tinyTrainer(config, data, run: run) }
      let error = #expect(throws: TrainingError.self) {
        try tinyTrainer(config, other, run: run, resume: true)
      }
      #expect(error?.description.contains("other shards") == true)
    }
  }

  @Test func divergenceLeavesTheWeights() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.safety.skipBudget = 0
      let trainer = try tinyTrainer(config, data, run: directory + "/run")
      let gains = trainer.weights.finalNorm
      gains.fill(.nan)
      let before = trainer.weights.embedding.elements
      let error = #expect(throws: TrainingError.self) { try trainer.train() }
      guard case .diverged(let incident, inARow: 1) = error, incident.step == 1 else {
        Issue.record("expected a divergence, found \(String(describing: error))")
        return
      }
      #expect(trainer.weights.embedding.elements == before)
    }
  }
}
