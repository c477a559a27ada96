import Communication
import GPUBackend
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// Ranks on devices that work later than they are asked: the bits are those of one rank.
@Suite struct DeviceRankTests {
  /// Weights of several runs of squares, so that every rank has a part of its own.
  private static func config(_ optimizer: OptimizerKind) throws -> RunConfig {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 96, layers: 2, heads: 3, hidden: 352)
    model.initialDeviation = 0.1
    var config = RunConfig(
      preset: "test", model: model, steps: 2, batchTokens: 60,
      schedule: .warmupStableDecay(warmup: 1, decay: 0.5))
    config.model.use(try AttentionConfig(parsing: "softmax"))
    config.optimizer.kind = optimizer
    config.optimizer.rate = 1e-2
    config.microBatchTokens = 40
    config.gradientShares = 4
    config.dropout = 0.1
    config.report.validateEvery = 0
    config.report.checkpointEvery = 0
    #expect(ParameterLayout(config.model).count > 3 * Squares.run)
    return config
  }

  private static func train(
    _ config: RunConfig, data: String, run: String, ranks: Int,
    on driver: @escaping @Sendable () -> any GPUDriver
  ) throws -> [[UInt8]] {
    _ = try ThreadRanks.run(ranks) { communicator in
      let trainer = try Trainer(
        config: config, on: GPUKernels(driver(), precision: .bfloat16), with: communicator,
        dataSet: DataSet(directory: data), tokenTable: TinyDataSet.tokenTable,
        tokenizer: TinyDataSet.tokenizer, run: run, resume: false)
      _ = try trainer.train()
    }
    return try [ModelFiles.weightsName, CheckpointFolder.optimizerName].map {
      try Files.contents(of: run + "/" + CheckpointFolder.name(step: config.steps) + "/" + $0)
    }
  }

  @Test(arguments: [OptimizerKind.adamW, .muon]) func whatIsSentIsComputed(
    optimizer: OptimizerKind
  ) throws {
    try withTemporaryDirectory { directory in
      let data = directory + "/data"
      _ = try TinyDataSet.write(to: data)
      let config = try Self.config(optimizer)
      let one = try Self.train(config, data: data, run: directory + "/one", ranks: 1) {
        EmulatedDriver()
      }
      for ranks in optimizer == .adamW ? [2, 3] : [2] {
        let run = directory + "/run\(ranks)"
        let many = try Self.train(config, data: data, run: run, ranks: ranks) { LateDriver() }
        // The files themselves are no message.
        let isSame = many == one
        #expect(isSame, "\(ranks) ranks")
      }
    }
  }
}
