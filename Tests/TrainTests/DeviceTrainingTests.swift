import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// Whole runs on the kernels of a card, beside those of this processor.
@Suite struct DeviceTrainingTests {
  private static let attentions = [
    "softmax", "hierarchical:blockSize=16", "hierarchical:blockSize=4,query=fine",
    "yoso:estimate=expectation", "yoso:estimate=sampled,hashes=4",
    "yoso:estimate=hybrid,hashes=4,chunk=8", "combiner:pattern=fixed,segment=8",
    "combiner:pattern=rowmajor,segment=8", "combiner:pattern=rowmajor,segment=8,address=proj",
    "combiner:pattern=logsparse", "combiner:pattern=vertical,segment=8",
    "combiner:pattern=mixture,segment=8",
  ]

  private static func config(_ attention: String) throws -> RunConfig {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 32, layers: 2, heads: 2, hidden: 40)
    model.initialDeviation = 0.1
    var config = RunConfig(
      preset: "test", model: model, steps: 20, batchTokens: 120,
      schedule: .warmupStableDecay(warmup: 4, decay: 0.5))
    config.model.use(try AttentionConfig(parsing: attention))
    config.optimizer.rate = 1e-2
    config.microBatchTokens = 60
    config.dropout = 0.1
    config.report.logEvery = 1
    config.report.validateEvery = 20
    config.report.validationSequences = 5
    config.report.checkpointEvery = 8
    return config
  }

  private static func train(
    _ config: RunConfig, on kernels: any Kernels, data: String, run: String, resume: Bool = false,
    stopAt: Int? = nil
  ) throws -> (losses: [Double], weights: [Float]) {
    let trainer = try Trainer(
      config: config, on: kernels, dataSet: DataSet(directory: data),
      tokenTable: TinyDataSet.tokenTable, tokenizer: TinyDataSet.tokenizer, run: run,
      resume: resume)
    trainer.shouldStop = { trainer.step == stopAt }
    _ = try trainer.train()
    return (
      try MetricsLog.read(run: run).filter { $0.kind == "train" }.map(\.natsPerToken),
      try kernels.numbers(of: trainer.weights.all)
    )
  }

  /// Twenty steps: losses within 1e-4 in single precision and 1 % in bfloat16, where vectors rounded to
  /// eight bits fall to other sides of YOSO's few hyperplanes: there 5 %.
  @Test(arguments: attentions) func lossesAreThoseOfThisProcessor(attention: String) throws {
    try withTemporaryDirectory { directory in
      _ = try TinyDataSet.write(to: directory + "/data")
      let config = try Self.config(attention)
      func losses(_ backend: TestBackend) throws -> [Double] {
        try Self.train(
          config, on: backend.makeKernels(), data: directory + "/data",
          run: directory + "/" + backend.rawValue
        ).losses
      }
      let expected = try losses(.cpu)
      #expect(expected.count == 20)
      let rounded = attention.contains("hashes") ? 5e-2 : 1e-2
      for (backend, bound) in [(TestBackend.emulator, 1e-4), (.bfloat16, rounded)] {
        let actual = try losses(backend)
        #expect(actual.count == expected.count)
        let error = zip(actual, expected).map { abs($0 - $1) / $1 }.max() ?? 1
        #expect(error <= bound, "\(backend): \(error)")
      }
    }
  }

  /// A run that was stopped and goes on ends with the bits of one that was not; what it has saved is
  /// opened by this processor as it is.
  @Test(arguments: [TestBackend.emulator, .bfloat16]) func resumesToTheSameBits(
    backend: TestBackend
  ) throws {
    try withTemporaryDirectory { directory in
      _ = try TinyDataSet.write(to: directory + "/data")
      let config = try Self.config("hierarchical:blockSize=16")
      func train(_ run: String, resume: Bool = false, stopAt: Int? = nil) throws -> [Float] {
        try Self.train(
          config, on: backend.makeKernels(), data: directory + "/data",
          run: directory + "/" + run, resume: resume, stopAt: stopAt
        ).weights
      }
      let whole = try train("whole")
      _ = try train("parts", stopAt: 11)
      let parts = try train("parts", resume: true)
      #expect(parts.map(\.bitPattern) == whole.map(\.bitPattern))
      let kernels = try TestBackend.cpu.makeKernels()
      let weights = try Parameters(config.model, on: kernels)
      try ModelFiles.readWeights(
        into: weights, config.model, directory: directory + "/whole/step-00000020")
      #expect(
        try kernels.numbers(of: weights.all).map(\.bitPattern) == whole.map(\.bitPattern))
    }
  }
}
