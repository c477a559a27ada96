import Backends
import Communication
import Eval
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// Several ranks train one model: the bits are those of one.
@Suite(.serialized) struct RankTests {
  static func config(_ attention: String, shares: Int?) throws -> RunConfig {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 24, layers: 2, heads: 3, hidden: 40)
    model.initialDeviation = 0.1
    var config = RunConfig(
      preset: "test", model: model, steps: 12, batchTokens: 200,
      schedule: .warmupStableDecay(warmup: 4, decay: 0.5))
    config.model.use(try AttentionConfig(parsing: attention))
    config.optimizer.rate = 1e-2
    config.microBatchTokens = 40
    config.gradientShares = shares
    config.dropout = 0.1
    config.report.logEvery = 3
    config.report.validateEvery = 4
    config.report.checkpointEvery = 4
    return config
  }

  /// What a run leaves behind.
  private struct Outcome: Sendable, Equatable {
    var weights: [Float]
    var validation: Double?
    var metrics: [Metrics] = []
  }

  private static func train(
    _ config: RunConfig, data: String, run: String, ranks: Int, resume: Bool = false,
    stopAt: Int? = nil
  ) throws -> [Outcome] {
    try ThreadRanks.run(ranks) { communicator in
      let trainer = try Trainer(
        config: config, on: Backend.ofThisProcessor, with: communicator,
        dataSet: DataSet(directory: data), tokenTable: TinyDataSet.tokenTable,
        tokenizer: TinyDataSet.tokenizer, run: run, resume: resume)
      // Only one of them has been asked.
      trainer.shouldStop = { communicator.rank == ranks - 1 && trainer.step == stopAt }
      let outcome = try trainer.train()
      #expect(outcome == (stopAt.map { .interrupted(step: $0) } ?? .finished))
      return Outcome(
        weights: try trainer.weights.device.numbers(of: trainer.weights.all),
        validation: trainer.best?.tally.nats)
    }
  }

  /// Lines of a log without what the clock says.
  private static func timeless(_ run: String) throws -> [Metrics] {
    try MetricsLog.read(run: run).map { line in
      var line = line
      line.trainedSeconds = 0
      line.tokensPerSecond = nil
      return line
    }
  }

  @Test(arguments: ["softmax", "hierarchical", "yoso", "combiner:segment=8"])
  func threeRanksGiveTheBitsOfOne(attention: String) throws {
    try withTemporaryDirectory { directory in
      _ = try TinyDataSet.write(to: directory + "/data")
      let config = try Self.config(attention, shares: 4)
      let runs = try [1, 2, 3, 4].map { ranks in
        let run = directory + "/run\(ranks)"
        let outcomes = try Self.train(config, data: directory + "/data", run: run, ranks: ranks)
        // Every rank ends with the same weights.
        for outcome in outcomes { #expect(outcome == outcomes[0]) }
        return (outcomes[0], try Self.timeless(run), run)
      }
      for other in runs.dropFirst() {
        #expect(other.0.weights.map(\.bitPattern) == runs[0].0.weights.map(\.bitPattern))
        #expect(other.0.validation == runs[0].0.validation)
        #expect(other.1 == runs[0].1)
        for name in [ModelFiles.weightsName, CheckpointFolder.optimizerName] {
          let step = "/" + CheckpointFolder.name(step: 12) + "/" + name
          #expect(try Files.contents(of: other.2 + step) == Files.contents(of: runs[0].2 + step))
        }
      }
    }
  }

  /// Weights of several runs of squares, so that every rank has a part of its own.
  @Test(arguments: [OptimizerKind.adamW, .muon]) func partsOfTheWeightsAreMovedByRanks(
    optimizer: OptimizerKind
  ) throws {
    try withTemporaryDirectory { directory in
      _ = try TinyDataSet.write(to: directory + "/data")
      var config = try Self.config("softmax", shares: 4)
      config.model.width = 96
      config.model.hidden = 352
      config.optimizer.kind = optimizer
      #expect(ParameterLayout(config.model).count > 4 * Squares.run)
      func files(_ run: String, _ step: Int) throws -> [[UInt8]] {
        try [ModelFiles.weightsName, CheckpointFolder.optimizerName].map {
          try Files.contents(of: run + "/" + CheckpointFolder.name(step: step) + "/" + $0)
        }
      }
      let one = directory + "/one"
      _ = try Self.train(config, data: directory + "/data", run: one, ranks: 1)
      for ranks in [2, 3] {
        let run = directory + "/run\(ranks)"
        _ = try Self.train(config, data: directory + "/data", run: run, ranks: ranks, stopAt: 7)
        _ = try Self.train(
          config, data: directory + "/data", run: run, ranks: 5 - ranks, resume: true)
        #expect(try files(run, 12) == files(one, 12))
        #expect(try Self.timeless(run) == Self.timeless(one))
      }
    }
  }

  @Test func stoppedOnFourAndGoneOnWithOne() throws {
    try withTemporaryDirectory { directory in
      let data = directory + "/data"
      _ = try TinyDataSet.write(to: data)
      let config = try Self.config("softmax", shares: 4)
      let whole = try Self.train(config, data: data, run: directory + "/whole", ranks: 1)
      let run = directory + "/parts"
      _ = try Self.train(config, data: data, run: run, ranks: 4, stopAt: 3)
      _ = try Self.train(config, data: data, run: run, ranks: 3, resume: true, stopAt: 7)
      let last = try Self.train(config, data: data, run: run, ranks: 1, resume: true)
      #expect(last[0].weights.map(\.bitPattern) == whole[0].weights.map(\.bitPattern))
      #expect(try Self.timeless(run) == Self.timeless(directory + "/whole"))
    }
  }

  /// The order of the sum is part of the run: other shares are another run.
  @Test func sharesAreRememberedAndRefused() throws {
    try withTemporaryDirectory { directory in
      let data = directory + "/data"
      _ = try TinyDataSet.write(to: data)
      let run = directory + "/run"
      _ = try Self.train(
        Self.config("softmax", shares: 4), data: data, run: run, ranks: 1, stopAt: 3)
      #expect(throws: (any Error).self) {
        try Self.train(
          Self.config("softmax", shares: 2), data: data, run: run, ranks: 1, resume: true)
      }
      let few = #expect(throws: TrainingError.self) {
        try Self.train(Self.config("softmax", shares: nil), data: data, run: run + "2", ranks: 2)
      }
      #expect(few?.description.contains("2 processes") == true)
    }
  }

  /// What fails on one rank ends all, and nobody waits for ever.
  @Test(arguments: [0, 2]) func oneFailureEndsAll(failing: Int) throws {
    try withTemporaryDirectory { directory in
      let data = directory + "/data"
      _ = try TinyDataSet.write(to: data)
      let config = try Self.config("softmax", shares: 4)
      let errors = try ThreadRanks.run(3) { communicator in
        do {
          try communicator.together {
            if communicator.rank == failing { throw TrainingError.invalid("no more") }
          }
          return "none"
        } catch {
          return "\(error)"
        }
      }
      for (rank, error) in errors.enumerated() {
        #expect(error == (rank == failing ? "no more" : "rank \(failing) failed: no more"))
      }
      // A disk that is full for rank 0 is full for all.
      let outcomes = try ThreadRanks.run(3) { communicator in
        let trainer = try Trainer(
          config: config, on: Backend.ofThisProcessor, with: communicator,
          dataSet: DataSet(directory: data), tokenTable: TinyDataSet.tokenTable,
          tokenizer: TinyDataSet.tokenizer, run: directory + "/run\(failing)", resume: false)
        trainer.willSave = { throw TrainingError.invalid("the disk is full") }
        do {
          _ = try trainer.train()
          return "finished"
        } catch {
          return "\(error)"
        }
      }
      for outcome in outcomes { #expect(outcome.contains("the disk is full")) }
    }
  }
}

@Suite struct ShareTreeTests {
  @Test func sharesAreDealtWhole() {
    for shares in [1, 2, 4, 8, 16] {
      for ranks in 1...shares {
        let tree = ShareTree(shares: shares, ranks: ranks)
        let all = (0..<ranks).flatMap { Array(tree.shares(of: $0)) }
        #expect(all == Array(0..<shares))
        for rank in 0..<ranks {
          #expect(tree.nodes(of: rank).flatMap { Array($0) } == Array(tree.shares(of: rank)))
        }
      }
    }
  }

  /// The sum is written out as a text, so that its order is seen.
  @Test func theOrderIsThatOfTheTree() {
    func text(_ node: ShareTree.Node) -> String {
      guard node.count > 1 else { return "\(node.lowerBound)" }
      let (left, right) = ShareTree.halves(node)
      return "(\(text(left))+\(text(right)))"
    }
    for ranks in 1...8 {
      let tree = ShareTree(shares: 8, ranks: ranks)
      let sum = tree.sum({ text(tree.nodes(of: $0)[$1]) }, adding: { "(\($0)+\($1))" })
      #expect(sum == "(((0+1)+(2+3))+((4+5)+(6+7)))")
    }
  }

  @Test func partsOfABatchAreTheBatch() {
    let starts = [0, 7, 8, 30, 31, 96, 100]
    let batch = Batch(
      ids: (0..<100).map(Int32.init), targets: (0..<100).map { Int32($0 + 1) }, starts: starts)
    for count in [1, 2, 4, 8, 16] {
      let shares = batch.shares(count)
      #expect(shares.count == count)
      #expect(shares.flatMap(\.batch.ids) == batch.ids)
      #expect(shares.flatMap(\.batch.targets) == batch.targets)
      for share in shares where share.batch.positions > 0 {
        #expect(share.batch.ids.first == Int32(share.first))
      }
    }
    #expect(batch.shares(1)[0].batch == batch)
    #expect(Batch().shares(4).allSatisfy { $0.batch.positions == 0 })
  }
}
