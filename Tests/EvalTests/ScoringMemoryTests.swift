import Backends
import Eval
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing

/// Memory that follows from the text is asked for before it is taken.
@Suite struct ScoringMemoryTests {
  @Test(arguments: SmallModel.variants)
  func sentencesPastEveryMachineAreRefused(variant: SmallModel.Variant) throws {
    let model = try SmallModel.make(variant.attention)
    for length in [1 << 36, 1 << 48, 1 << 60] {
      #expect(throws: MemoryShortage.self) {
        try model.planScoring(starts: [0, length], purpose: "a test", advice: "-")
      }
    }
    // Nothing is left of a refusal: ordinary sentences are scored as before.
    let batch = Batch(ids: [1, 3, 4], targets: [3, 4, 2], starts: [0, 3])
    let expected = try SmallModel.make(variant.attention).nllNats(
      ids: batch.ids, targets: batch.targets, starts: batch.starts)
    #expect(try Evaluator(model).score(batch)[0].nllNats == expected)
  }

  /// The plan of a sentence beyond the usual batch covers what scoring it takes.
  @Test(arguments: SmallModel.variants)
  func plansGrowWithTheLength(variant: SmallModel.Variant) throws {
    var config = SmallModel.config(variant.attention)
    config.maximumLength = 1 << 20
    let kernels = Backend.ofThisProcessor
    func floats(_ positions: Int) -> Int {
      Activations.size(config, positions: positions, training: false, on: kernels).master
    }
    #expect(floats(20_000) > 3 * floats(5_000))
    // A size that no machine has is still a size.
    #expect(
      Activations.size(config, positions: 1 << 60, training: true, on: kernels)
        == ActivationSize(master: Buffer.mostNumbers))
    let need = try AttentionTrial.workingNeed(
      config, on: kernels, longest: 1 << 48, positions: 1 << 48, isScoring: true)
    #expect(need.task >= 0 && need.task <= 1 << 50 && need.shared <= 1 << 50)
  }

  @Test func promptsAreRefusedOnceTheirSizeIsKnown() throws {
    var config = SmallModel.config()
    config.maximumLength = 1 << 12
    let model = try SmallModel.make(config)
    let prompt = (0..<400).map { Int32(3 + $0 % 4) }
    let session = try DecodeSession(model)
    let whole = try DecodeSession(model)
    let logits = try session.read(prompt, advice: "-").elements
    #expect(try logits == whole.read(prompt).elements)
    #expect(session.length == 400)
  }
}
