import Backends
import Communication
import Foundation
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// What may be changed of a recipe, by itself and together: same bits across interruptions, ranks and
/// threads.
@Suite(.serialized) struct RecipeTests {
  /// A change of the recipe.
  struct Change: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let apply: @Sendable (inout RunConfig) -> Void

    init(_ name: String, _ apply: @escaping @Sendable (inout RunConfig) -> Void) {
      testDescription = name
      self.apply = apply
    }
  }

  static let changes: [Change] = [
    Change("products in bfloat16") { $0.precision = .bfloat16 },
    Change("zeros onto the residual stream") { $0.model.zeroInitResidual = true },
    Change("queries and keys normalised") { $0.model.qkNorm = true },
    Change("shared keys, wide heads, biases") {
      $0.model.fewerKeyValueHeads = 1
      $0.model.ownHeadWidth = 10
      $0.model.qkvBias = true
    },
    Change("rows of n-grams") {
      $0.model.bigramRows = 150
      $0.model.trigramRows = 70
    },
    Change("rates apart") {
      $0.optimizer.embeddingRate = 3e-2
      $0.optimizer.matrixRate = 5e-3
    },
    Change("Muon in Gram form") {
      $0.optimizer.kind = .muon
      $0.optimizer.muonForm = .gram
    },
    Change("sampled softmax") {
      $0.sampledSoftmax = SampledSoftmaxConfig(candidates: 34)
      $0.sampledSoftmax?.fullShare = 0.3
    },
    Change("all of them") { config in for change in changes.prefix(7) { change.apply(&config) } },
    // Tables with fewer rows than a step has positions.
    Change("few rows of n-grams") {
      $0.model.bigramRows = 20
      $0.model.trigramRows = 70
    },
    // In place of sampled softmax.
    Change("clusters") { $0.model.cutoffs = [12, 25] },
    Change("untied clusters, and the others") { config in
      for change in changes.prefix(6) { change.apply(&config) }
      config.model.cutoffs = [7, 8, 30]
      config.model.clusterFactor = 2
      config.model.tiedHead = false
    },
  ]

  static func config(_ change: Change? = nil) -> RunConfig {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 24, layers: 2, heads: 3, hidden: 40)
    model.initialDeviation = 0.1
    var config = RunConfig(
      preset: "test", model: model, steps: 18, batchTokens: 60,
      schedule: .warmupStableDecay(warmup: 4, decay: 0.5))
    config.optimizer.rate = 1e-2
    config.microBatchTokens = 20
    config.gradientShares = 4
    config.dropout = 0.1
    config.report.logEvery = 4
    config.report.validateEvery = 6
    config.report.checkpointEvery = 6
    change?.apply(&config)
    return config
  }

  private static let files = [ModelFiles.weightsName, CheckpointFolder.optimizerName]

  private static func files(_ run: String, step: Int = 18) throws -> [[UInt8]] {
    let folder = "\(run)/\(CheckpointFolder.name(step: step))"
    let ngrams = Files.exists("\(folder)/\(NgramFile.name)") ? [NgramFile.name] : []
    return try (files + ngrams).map {
      try Files.contents(of: "\(run)/\(CheckpointFolder.name(step: step))/\($0)")
    }
  }

  private static func train(
    _ config: RunConfig, data: String, run: String, ranks: Int = 1, resume: Bool = false,
    stopAt: Int? = nil
  ) throws {
    _ = try ThreadRanks.run(ranks) { communicator in
      let trainer = try Trainer(
        config: config, on: Backend.cpu.makeKernels(config.precision ?? .float32),
        with: communicator,
        dataSet: DataSet(directory: data), tokenTable: TinyDataSet.tokenTable,
        tokenizer: TinyDataSet.tokenizer, run: run, resume: resume)
      trainer.shouldStop = { trainer.step == stopAt }
      return try trainer.train()
    }
  }

  /// Steps of the sampled and of the full loss, interrupted, and by one to four ranks.
  @Test(arguments: changes) func bitsAreThoseOfOneRun(change: Change) throws {
    try withTemporaryDirectory { directory in
      let data = directory + "/data"
      _ = try TinyDataSet.write(to: data)
      let config = Self.config(change)
      let whole = directory + "/whole"
      try Self.train(config, data: data, run: whole)
      let expected = try Self.files(whole)
      for ranks in [2, 3, 4] {
        let run = "\(directory)/\(ranks)"
        try Self.train(config, data: data, run: run, ranks: ranks)
        #expect(try Self.files(run) == expected, "\(ranks) ranks")
      }
      let parts = directory + "/parts"
      for (index, step) in [5, 13, 15].enumerated() {
        try Self.train(config, data: data, run: parts, resume: index > 0, stopAt: step)
      }
      try Self.train(config, data: data, run: parts, ranks: 3, resume: true)
      #expect(try Self.files(parts) == expected, "interrupted")
      #expect(try Self.timeless(parts) == Self.timeless(whole))
      for threads in [1, 3] {
        let run = "\(directory)/t\(threads)"
        try withThreads(threads) { try Self.train(config, data: data, run: run) }
        #expect(try Self.files(run) == expected, "\(threads) threads")
      }
    }
  }

  private static func timeless(_ run: String) throws -> [Metrics] {
    try MetricsLog.read(run: run).map { line in
      var line = line
      (line.trainedSeconds, line.tokensPerSecond) = (0, nil)
      return line
    }
  }

  /// Each is another run than that without it, by its weights and by its configuration.
  @Test(arguments: changes) func changesAreOtherRuns(change: Change) throws {
    try withTemporaryDirectory { directory in
      let data = directory + "/data"
      _ = try TinyDataSet.write(to: data)
      let plain = Self.config()
      let changed = Self.config(change)
      for (name, config) in [("plain", plain), ("changed", changed)] {
        var config = config
        // Which is another run by itself.
        config.optimizer.kind = changed.optimizer.kind
        config.steps = 3
        try Self.train(config, data: data, run: "\(directory)/\(name)")
      }
      let weights = try ["plain", "changed"].map {
        try Self.files("\(directory)/\($0)", step: 3)[0]
      }
      #expect(weights[0] != weights[1])
      let stored = try JSONDecoder().decode(
        RunConfig.self, from: Data(try JSONFile.encode(changed)))
      #expect(stored == changed)
      #expect(plain.difference(from: changed, taken: 3) != nil)
      #expect(throws: TrainingError.self) {
        try Self.train(changed, data: data, run: directory + "/plain", resume: true)
      }
    }
  }

  /// A card moves single rows as the processor does, and goes on to the same bits.
  @Test(arguments: [TestBackend.emulator, .bfloat16])
  func cardsTrainRowsOfNgrams(backend: TestBackend) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.steps = 8
      config.model.bigramRows = 150
      config.model.trigramRows = 70
      config.report.checkpointEvery = 4
      func train(_ run: String, on kernels: any Kernels, stopAt: Int?, resume: Bool) throws {
        let trainer = try Trainer(
          config: config, on: kernels, dataSet: data, tokenTable: TinyDataSet.tokenTable,
          tokenizer: TinyDataSet.tokenizer, run: run, resume: resume)
        trainer.shouldStop = { trainer.step == stopAt }
        _ = try trainer.train()
      }
      func tables(_ run: String) throws -> [Float] {
        let folder = "\(run)/\(CheckpointFolder.name(step: 8))"
        let model = try ModelFiles.open(directory: folder, on: Backend.ofThisProcessor)
        return try (model.parameters.ngrams?.tables ?? []).flatMap {
          try Backend.ofThisProcessor.numbers(of: $0.rows)
        }
      }
      let (whole, parts, other) = (directory + "/whole", directory + "/parts", directory + "/cpu")
      try train(whole, on: backend.makeKernels(), stopAt: nil, resume: false)
      try train(parts, on: backend.makeKernels(), stopAt: 4, resume: false)
      try train(parts, on: backend.makeKernels(), stopAt: nil, resume: true)
      try train(other, on: Backend.ofThisProcessor, stopAt: nil, resume: false)
      #expect(try Self.files(whole, step: 8) == Self.files(parts, step: 8))
      let (a, b) = (try tables(whole), try tables(other))
      let scale = b.map(abs).max() ?? 0
      #expect(a.count == 220 * 24 && scale > 0)
      // Rows that few targets have pulled at move by the sign of a small gradient, rounded or not.
      let differences = zip(a, b).map { abs($0 - $1) / scale }
      let mean = differences.reduce(0, +) / Float(differences.count)
      #expect(mean < (backend == .emulator ? 1e-5 : 2e-2), "\(mean)")
    }
  }

  @Test func residualMatricesBeginAsZeros() throws {
    var config = Self.config().model
    config.zeroInitResidual = true
    let parameters = try Parameters(config, on: Backend.ofThisProcessor)
    try parameters.initialize(seed: 1)
    for slot in parameters.layout.slots {
      let numbers = try parameters.device.numbers(of: parameters.view(slot))
      let isZero = slot.name.hasSuffix("o_proj.weight") || slot.name.hasSuffix("down_proj.weight")
      #expect(numbers.allSatisfy { $0 == 0 } == isZero, "\(slot.name)")
    }
  }

  @Test func everyRateMovesItsOwnWeights() {
    var config = OptimizerConfig()
    config.rate = 4e-3
    let layout = ParameterLayout(Self.config().model)
    for slot in layout.slots { #expect(config.rate(of: slot, where: 2e-3) == 2e-3) }
    config.embeddingRate = 1e-2
    config.matrixRate = 1e-3
    for slot in layout.slots {
      let expected: Double =
        switch slot.role {
        case .table: 5e-3
        case .hidden: 5e-4
        default: 2e-3
        }
      #expect(abs(config.rate(of: slot, where: 2e-3) - expected) < 1e-12, "\(slot.name)")
    }
  }

  @Test(
    arguments: [
      { $0.optimizer.embeddingRate = 0 }, { $0.optimizer.matrixRate = .infinity },
      { $0.optimizer.rate = 1e39 }, { $0.optimizer.rate = 1e-40 },
      { $0.optimizer.embeddingRate = 2e6 }, { $0.optimizer.weightDecay = 1e300 },
      {
        $0.model.bigramRows = 9
        $0.optimizer.ngramRate = 1e38
      }, { $0.optimizer.epsilon = 1e-50 }, { $0.optimizer.beta2 = 1 - 1e-12 },
      { $0.optimizer.clipNorm = .infinity }, { $0.optimizer.muonForm = .gram },
      { $0.sampledSoftmax = SampledSoftmaxConfig(candidates: 1) },
      { $0.sampledSoftmax = SampledSoftmaxConfig(candidates: 61) },
      {
        $0.sampledSoftmax = SampledSoftmaxConfig(candidates: 30)
        $0.sampledSoftmax?.fullShare = 1.5
      },
    ] as [@Sendable (inout RunConfig) -> Void])
  func impossibleRecipesAreRefused(change: @Sendable (inout RunConfig) -> Void) throws {
    var config = Self.config()
    try config.validate()
    change(&config)
    #expect(throws: TrainingError.self) { try config.validate() }
  }

  /// What says the same in other words is the same run; a difference is told by its key.
  @Test func differencesAreTold() {
    let config = Self.config()
    var same = config
    same.optimizer.embeddingRate = config.optimizer.rate
    same.optimizer.matrixRate = config.optimizer.rate
    same.optimizer.ngramRate = OptimizerConfig.defaultNgramRate
    same.optimizer.muonForm = .standard
    same.optimizer.freezesEmbedding = false
    same.precision = .float32
    #expect(config.difference(from: same, taken: 5) == nil)
    #expect(same.difference(from: config, taken: 5) == nil)
    var other = same
    other.optimizer.ngramRate = 0.03
    #expect(config.difference(from: other, taken: 5)?.found == "no optimizer.ngramRate")
    #expect(config.difference(from: other, taken: 5)?.expected == "optimizer.ngramRate 0.03")
    #expect(other.difference(from: config, taken: 5)?.found == "optimizer.ngramRate 0.03")
    other = config
    other.seed = .max
    #expect(config.difference(from: other, taken: 5)?.expected == "seed \(UInt64.max)")
  }
}
