import Backends
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// Runs that begin with the weights of another.
@Suite(.serialized) struct InitialWeightsTests {
  private static func config(steps: Int = 6, shares: Int? = nil) -> RunConfig {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 24, layers: 2, heads: 3, hidden: 40)
    model.initialDeviation = 0.1
    var config = RunConfig(
      preset: "test", model: model, steps: steps, batchTokens: 200,
      schedule: .warmupStableDecay(warmup: 2, decay: 0.5))
    config.optimizer.rate = 1e-2
    config.gradientShares = shares
    config.report.validateEvery = 3
    config.report.checkpointEvery = 3
    return config
  }

  private static func find(_ path: String) throws -> (origin: InitialWeights, model: ModelConfig) {
    try InitialWeights.find(path, tokenizer: { _ in [] }, note: { _ in })
  }

  /// A run of other data that has finished, and what begins with it.
  private static func withOrigin(
    _ body: (_ directory: String, _ data: DataSet, _ origin: InitialWeights) throws -> Void
  ) throws {
    try withTemporaryDirectory { directory in
      let first = try TinyDataSet.write(to: directory + "/first", seed: 1)
      _ = try tinyTrainer(config(), first, run: directory + "/origin").train()
      let data = try TinyDataSet.write(to: directory + "/data", seed: 2)
      try body(directory, data, find(directory + "/origin").origin)
    }
  }

  private static func weights(_ checkpoint: String) throws -> [UInt8] {
    try Files.contents(of: checkpoint + "/" + ModelFiles.weightsName)
  }

  @Test func aRunBeginsWithTheWeightsAndNothingElse() throws {
    try Self.withOrigin { directory, data, origin in
      #expect(origin.step == 6 && origin.dataSHA256 != data.fingerprint && origin.earlier == nil)
      #expect(origin.path.hasSuffix("/origin/step-00000006"))
      let (_, model) = try Self.find(directory + "/origin/step-00000003")
      var config = Self.config()
      #expect(model == config.model)
      config.initialWeights = origin
      let trainer = try tinyTrainer(config, data, run: directory + "/tuned")
      let stored = try ModelFiles.readWeights(
        model, directory: origin.path, on: Backend.ofThisProcessor)
      #expect(trainer.step == 0 && trainer.weights.all.elements == stored.all.elements)
      #expect(try trainer.train() == .finished)

      // Moments and order are those of a new run: the same weights from elsewhere give the same bits.
      try Files.createDirectory(directory + "/bare")
      for name in [ModelFiles.configName, ModelFiles.weightsName, CheckpointFolder.tokenizerName] {
        try AtomicFile.write(
          Files.contents(of: origin.path + "/" + name), to: directory + "/bare/" + name)
      }
      let bare = try Self.find(directory + "/bare").origin
      #expect(bare.step == nil && bare.dataSHA256 == nil)
      #expect(bare.weightsSHA256 == origin.weightsSHA256)
      config.initialWeights = bare
      _ = try tinyTrainer(config, data, run: directory + "/again").train()
      let last = "/" + CheckpointFolder.name(step: 6)
      #expect(
        try Self.weights(directory + "/tuned" + last) == Self.weights(directory + "/again" + last))
      #expect(
        try Files.contents(of: directory + "/tuned" + last + "/optimizer.safetensors")
          == Files.contents(of: directory + "/again" + last + "/optimizer.safetensors"))

      // What a third run begins with says where that began.
      let third = try Self.find(directory + "/tuned/best").origin
      #expect(third.earlier == ["\(origin)"])
      #expect(third.sentence.contains(", itself from checkpoint \(origin.path) ("))
      #expect(
        try InitialWeights.sentence(ofCheckpoint: directory + "/tuned" + last) == origin.sentence)
      #expect(try InitialWeights.sentence(ofCheckpoint: origin.path) == nil)
      // A state that says nothing of it.
      try AtomicFile.write(Array("{}\n".utf8), to: directory + "/bare/state.json")
      #expect(try InitialWeights.sentence(ofCheckpoint: directory + "/bare") == nil)
      // As config.json has it.
      let bytes = try JSONFile.encode(config)
      #expect(try JSONFile.decode(RunConfig.self, from: bytes, path: "config.json") == config)
    }
  }

  /// A run that ends before its first checkpoint begins again with the same weights, or not at all.
  @Test func weightsThatAreNoLongerThoseAreRefused() throws {
    try Self.withOrigin { directory, data, origin in
      var config = Self.config(steps: 1)
      config.initialWeights = origin
      _ = try tinyTrainer(config, data, run: directory + "/run", resume: true)
      let path = origin.path + "/" + ModelFiles.weightsName
      var bytes = try Files.contents(of: path)
      bytes[bytes.count - 1] ^= 1
      try AtomicFile.write(bytes, to: path)
      #expect {
        try tinyTrainer(config, data, run: directory + "/other")
      } throws: {
        "\($0)".contains("is \(SHA256.hexDigest(of: bytes)) now,") && "\($0)".contains(origin.path)
      }
      #expect(throws: CheckpointError.self) { try Self.find(origin.path) }
      // A run passes over a checkpoint that is damaged.
      #expect(try Self.find(directory + "/origin").origin.step == 3)
      try AtomicDirectory.remove(origin.path)
      #expect {
        try tinyTrainer(config, data, run: directory + "/other")
      } throws: {
        "\($0)".contains("cannot be read") && "\($0)".contains("--init-from")
      }
    }
  }

  @Test(arguments: [true, false]) func ranksGiveTheBitsOfOne(freezes: Bool) throws {
    try Self.withOrigin { directory, data, origin in
      var config = Self.config(shares: 4)
      config.initialWeights = origin
      config.optimizer.freezesEmbedding = freezes ? true : nil
      let runs = try [1, 2, 3].map { ranks in
        let run = "\(directory)/ranks\(ranks)"
        let settled = config
        _ = try ThreadRanks.run(ranks) { communicator in
          try Trainer(
            config: settled, on: Backend.ofThisProcessor, with: communicator,
            dataSet: DataSet(directory: data.directory), tokenTable: TinyDataSet.tokenTable,
            tokenizer: TinyDataSet.tokenizer, run: run, resume: false
          ).train()
        }
        return try Self.weights(run + "/" + CheckpointFolder.name(step: 6))
      }
      #expect(runs[1] == runs[0] && runs[2] == runs[0])
    }
  }

  /// Rows of pairs and triples come along, what the optimizer keeps beside them does not.
  @Test func rowsOfNgramsBeginWithoutTheirSums() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.model.bigramRows = 50
      config.model.trigramRows = 70
      _ = try tinyTrainer(config, data, run: directory + "/origin").train()
      config.initialWeights = try Self.find(directory + "/origin").origin
      #expect(config.initialWeights?.ngramsSHA256 != nil)
      let tables = try #require(
        tinyTrainer(config, data, run: directory + "/run").weights.ngrams?.tables)
      #expect(tables.count == 2)
      for table in tables {
        #expect(table.rows.elements.contains { $0 != 0 })
        #expect(table.squares.elements.allSatisfy { $0 == 0 })
      }
    }
  }

  /// Weights that this processor has trained, on the kernels of a card, with all that is kept beside them.
  @Test(arguments: [TestBackend.emulator, .bfloat16]) func aCardGoesOnWithThem(
    backend: TestBackend
  ) throws {
    try Self.withOrigin { directory, data, origin in
      var config = Self.config()
      config.initialWeights = origin
      config.averageDecay = 0.5
      config.optimizer.freezesEmbedding = true
      func train(_ backend: TestBackend, _ run: String, resume: Bool = false, stopAt: Int? = nil)
        throws -> [Float]
      {
        let kernels = try backend.makeKernels()
        let trainer = try Trainer(
          config: config, on: kernels, dataSet: data, tokenTable: TinyDataSet.tokenTable,
          tokenizer: TinyDataSet.tokenizer, run: directory + "/" + run, resume: resume)
        let before = try kernels.numbers(of: trainer.weights.embedding)
        trainer.shouldStop = { trainer.step == stopAt }
        _ = try trainer.train()
        #expect(try kernels.numbers(of: trainer.weights.embedding) == before)
        return try kernels.numbers(of: trainer.weights.all)
      }
      func average(_ run: String) throws -> [Float] {
        try ModelFiles.open(
          directory: directory + "/" + run + "/" + CheckpointFolder.name(step: 6),
          weights: CheckpointFolder.averageName, on: Backend.ofThisProcessor
        ).parameters.all.elements
      }
      let whole = try train(backend, "whole")
      _ = try train(backend, "parts", stopAt: 4)
      #expect(try train(backend, "parts", resume: true) == whole)
      #expect(try average("parts") == average("whole"))
      _ = try train(.cpu, "cpu")
      let difference = try zip(average("cpu"), average("whole")).map { abs($0 - $1) }.max() ?? 1
      #expect(difference < (backend == .emulator ? 1e-3 : 0.05), "\(difference)")
    }
  }

  @Test(arguments: [OptimizerKind.adamW, .muon]) func frozenEmbeddingsStay(kind: OptimizerKind)
    throws
  {
    try Self.withOrigin { directory, data, origin in
      var norms: [Double] = []
      for (tied, freezes) in [(true, true), (true, false), (false, true)] {
        var config = Self.config()
        config.optimizer.kind = kind
        config.optimizer.freezesEmbedding = freezes ? true : nil
        config.model.tiedHead = tied
        if tied { config.initialWeights = origin }
        let trainer = try tinyTrainer(config, data, run: "\(directory)/\(tied)\(freezes)")
        let before = trainer.weights
        let (embedding, head, all) = (
          before.embedding.elements, before.head.elements, before.all.elements
        )
        trainer.report = {
          if case .step(let metrics, _) = $0, metrics.step == 1, tied {
            norms.append(metrics.gradientNorm ?? .nan)
          }
        }
        _ = try trainer.train()
        #expect((trainer.weights.embedding.elements == embedding) == freezes)
        // A head of its own is trained on.
        #expect((trainer.weights.head.elements == head) == (tied && freezes))
        #expect(trainer.weights.all.elements != all)
      }
      // What stays does not count.
      #expect(norms.count == 2 && norms[0] < norms[1] && norms[0] > 0)
    }
  }
}
