import Backends
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// Weights and rows that are not finite are neither saved nor begun with.
@Suite(.serialized) struct FiniteWeightsTests {
  private static func config() -> RunConfig {
    var config = RecipeTests.config()
    config.steps = 6
    config.model.bigramRows = 50
    config.report.checkpointEvery = 2
    return config
  }

  private static func message(_ body: () throws -> Void) -> String {
    do { try body() } catch { return "\(error)" }
    return "no error"
  }

  /// The last checkpoint stays, and the run goes on from it.
  @Test(arguments: [
    "model.embed_tokens.weight", "model.bigram_rows.weight", "squares.model.bigram_rows.weight",
  ])
  func theyAreNotSaved(name: String) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let run = directory + "/run"
      let trainer = try tinyTrainer(Self.config(), data, run: run)
      let table = try #require(trainer.weights.ngrams?.tables.first)
      trainer.fault = { _, _, _ in
        guard trainer.step == 2 else { return }
        switch name {
        case "model.embed_tokens.weight": trainer.weights.embedding.base[7] = .nan
        case "model.bigram_rows.weight": table.rows.base[7] = -.infinity
        default: table.squares.base[7] = .infinity
        }
      }
      let error = Self.message { _ = try trainer.train() }
      #expect(error.contains(" of \(name) "), "\(error)")
      #expect(
        error.contains("not finite") && error.contains("the last checkpoint is that of step 2"))
      #expect(CheckpointFolder.steps(ofRun: run) == [2])
      #expect(try tinyTrainer(Self.config(), data, run: run, resume: true).train() == .finished)
    }
  }

  @Test func largeOnesAreSaved() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let trainer = try tinyTrainer(Self.config(), data, run: directory + "/run")
      let table = try #require(trainer.weights.ngrams?.tables.first)
      // Their squares are larger than any number; nothing reads this row.
      let unread = try #require(table.squares.elements.indices.last)
      trainer.fault = { _, _, _ in if trainer.step == 5 { table.squares.base[unread] = 1e38 } }
      #expect(try trainer.train() == .finished)
    }
  }

  /// A folder without sums holds whatever somebody put there.
  @Test(arguments: [ModelFiles.weightsName, NgramFile.name])
  func noRunBeginsWithThem(file: String) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      _ = try tinyTrainer(config, data, run: directory + "/origin").train()
      let last = directory + "/origin/" + CheckpointFolder.name(step: 6)
      let bare = directory + "/bare"
      try Files.createDirectory(bare)
      for name in [
        ModelFiles.configName, ModelFiles.weightsName, NgramFile.name,
        CheckpointFolder.tokenizerName,
      ] {
        var bytes = try Files.contents(of: last + "/" + name)
        if name == file {
          // The first number behind the header, which has its own length before it.
          let header = bytes.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
          bytes.replaceSubrange(8 + header..<12 + header, with: [0, 0, 0xC0, 0x7F])
        }
        try AtomicFile.write(bytes, to: bare + "/" + name)
      }
      config.initialWeights = try InitialWeights.find(
        bare, tokenizer: { _ in [] }, note: { _ in }
      ).origin
      let error = Self.message { _ = try tinyTrainer(config, data, run: directory + "/run") }
      #expect(error.contains("1 of ") && error.contains("are not finite in checkpoint"), "\(error)")
      #expect(error.contains(bare) && error.contains("--init-from"), "\(error)")
    }
  }

  /// A run that has taken no step has not finished, however often it is asked.
  @Test func aRunWithoutAStepHasNotFinished() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let run = directory + "/run"
      for resume in [false, true] {
        let trainer = try tinyTrainer(Self.config(), data, run: run, resume: resume)
        trainer.fault = { _, _, nats in nats = .nan }
        let error = Self.message { _ = try trainer.train() }
        #expect(error.contains("all 6 steps"), "\(error)")
      }
      // One that was taken is enough.
      let other = try tinyTrainer(Self.config(), data, run: directory + "/other")
      other.fault = { _, _, nats in if other.step != 3 { nats = .nan } }
      #expect(try other.train() == .finished)
      #expect(other.skippedSteps == 5)
    }
  }

  /// Frozen embeddings have no gradient of their own, but rows move by what it would have been.
  @Test func rowsBesideFrozenEmbeddingsMoveByFiniteGradientsAlone() throws {
    var config = OptimizerConfig()
    config.clipNorm = 1
    let (plain, rows) = (RecipeTests.config().model, Self.config().model)
    for (model, isAccepted) in [(plain, true), (rows, false)] {
      let optimizer = try Optimizer(config, model: model, on: Backend.ofThisProcessor)
      #expect(optimizer.accepts(gradientNorm: 1e17) && !optimizer.accepts(gradientNorm: .infinity))
      // Clipping makes weights move by less, and rows not.
      #expect(optimizer.accepts(gradientNorm: 1e20) == isAccepted)
    }
  }
}
