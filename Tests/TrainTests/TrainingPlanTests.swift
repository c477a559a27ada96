import Backends
import Host
import LMData
import Model
import Tensor
import TestSupport
import Testing
import Train

struct TrainingPlanTests {
  private static func config(_ attention: AttentionConfig = .softmax) -> RunConfig {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 24, layers: 2, heads: 3, hidden: 40)
    model.use(attention)
    return RunConfig(
      preset: "test", model: model, steps: 24, batchTokens: 200,
      schedule: .warmupStableDecay(warmup: 4, decay: 0.5))
  }

  @Test func memoryIsTheSumOfItsParts() throws {
    let folder = try TemporaryFolder()
    let data = try TinyDataSet.write(to: folder.path + "/data")
    let config = Self.config()
    let plan = try TrainingPlan(config, manifest: data.manifest, programBytes: 7)
    #expect(plan.parameterBytes == 4 * HostMemory.bytes(count: plan.parameters))
    #expect(plan.parameterBytes >= 16 * plan.parameters)
    #expect(
      plan.bytes - 7
        == plan.parameterBytes + plan.activationBytes + plan.workingBytes + plan.dataBytes)
    // Ids, places and order of the largest shard of each split.
    let bytes = ["train", "valid"].map { split in
      data.manifest.splits[split, default: []].map { 4 * $0.ids + 12 * $0.sentences }.max() ?? 0
    }
    #expect(plan.dataBytes == bytes.reduce(0, +))
  }

  @Test func validationScoresNoMoreThanThereIs() throws {
    let folder = try TemporaryFolder()
    let data = try TinyDataSet.write(to: folder.path + "/data", sentences: 20)
    let totals = data.manifest.totals(of: "valid")
    var config = Self.config()
    #expect(
      Trainer.plannedScoring(config, manifest: data.manifest) == totals.tokens + totals.sentences)
    config.data.validSplit = "none"
    #expect(Trainer.plannedScoring(config, manifest: data.manifest) == 0)
    config.data.streamLength = 5_000
    config.data.validSplit = "train"
    let train = data.manifest.totals(of: "train")
    #expect(
      Trainer.plannedScoring(config, manifest: data.manifest) == train.tokens + train.sentences)
  }

  /// Long sequences are not run for the plan: what they borrow is foreseen from shorter ones.
  @Test(arguments: [
    "softmax", "hierarchical", "yoso", "yoso:estimate=expectation", "combiner:segment=16",
    "combiner:pattern=logsparse", "combiner:pattern=rowmajor,segment=16",
    "combiner:pattern=rowmajor,segment=16,address=proj",
  ])
  func workingMemoryIsForeseen(attention: String) throws {
    let kernels = Backend.ofThisProcessor
    let model = Self.config(try AttentionConfig(parsing: attention)).model
    let planned = try AttentionTrial.workingNeed(
      model, on: kernels, longest: 6_000, positions: 6_000)
    let trial = try AttentionTrial(model, on: kernels, length: 6_000)
    let found = kernels.workingNeed {
      trial.forward(step: 1)
      trial.backward(step: 1)
    }
    for (floats, borrowed) in [(planned.task, found.task), (planned.shared, found.shared)] {
      // Small requests all get a buffer of the same size.
      let slack = max(borrowed / 20, 1 << 10)
      #expect(abs(floats - borrowed) <= slack, "\(planned), borrowed \(found)")
    }
  }
}
