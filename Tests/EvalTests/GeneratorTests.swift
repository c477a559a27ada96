import Eval
import Host
import LMData
import Model
import Tensor
import Testing
import TestSupport

/// Continuations of prompts.
@Suite(.serialized) struct GeneratorTests {
  private static func generator(
    _ model: Transformer, temperature: Double = 1, seed: UInt64 = 1, tokens: Int = 40,
    excluded: [Int32] = [0, 1]
  ) throws -> Generator {
    var options = SamplingOptions()
    options.temperature = temperature
    return Generator(
      model: model,
      sampler: try Sampler(
        options, seed: seed, vocabulary: TinyDataSet.vocabulary, excluded: excluded),
      maximumTokens: tokens)
  }

  private static let prompt: [Int32] = [17, 4, 30, 9, 11]

  /// The most probable token after every prefix, by a full forward pass each.
  private static func chain(_ model: Transformer, _ prompt: [Int32], tokens: Int) throws
    -> Continuation
  {
    var result = Continuation()
    var ids = [1] + prompt
    while result.ids.count < tokens {
      let logits = try model.logits(ids: ids, starts: [0, ids.count])
        .rows(ids.count - 1..<ids.count).elements
      var best = 2
      for id in 2..<logits.count where logits[id] > logits[best] { best = id }
      if best == 2 {
        result.end = .sentence
        break
      }
      result.ids.append(Int32(best))
      ids.append(Int32(best))
    }
    return result
  }

  @Test(arguments: SmallModel.variants)
  func greedyIsTheArgmaxOfTheFullForward(variant: SmallModel.Variant) throws {
    let model = try SmallModel.make(variant.attention)
    for prompt in [[], Self.prompt, Array(3..<60)] {
      let continued = try Self.generator(model, temperature: 0, tokens: 50)
        .continuations(of: prompt, count: 2)
      #expect(try continued[0] == Self.chain(model, prompt, tokens: 50))
      #expect(continued[1] == continued[0])
    }
  }

  @Test(arguments: SmallModel.variants)
  func samplesDependOnSeedAndNumberAlone(variant: SmallModel.Variant) throws {
    let model = try SmallModel.make(variant.attention)
    let many = try Self.generator(model).continuations(of: Self.prompt, count: 70)
    #expect(Set(many.map(\.ids)).count > 60)
    #expect(many.contains { $0.end == .sentence } && many.contains { $0.end == .length })
    for count in [1, 3, 65] {
      let fewer = try Self.generator(model).continuations(of: Self.prompt, count: count)
      #expect(fewer == Array(many.prefix(count)))
    }
    let again = try withThreads(3) {
      try Self.generator(model).continuations(of: Self.prompt, count: 3)
    }
    #expect(again == Array(many.prefix(3)))
    let other = try Self.generator(model, seed: 2).continuations(of: Self.prompt, count: 3)
    #expect(other != Array(many.prefix(3)))
  }

  @Test func tokensAreToldAsTheyAreDrawn() throws {
    let model = try SmallModel.make()
    var told: [[Int32]] = [[], [], []]
    let results = try Self.generator(model).continuations(of: [], count: 3) { told[$0].append($1) }
    #expect(told == results.map(\.ids))
    #expect(results.allTokens.allSatisfy { $0 > 2 })
  }

  @Test func groupsAreHandedOverAsTheyFinish() throws {
    let model = try SmallModel.make()
    let generator = try Self.generator(model, tokens: 3)
    var groups: [[Continuation]] = []
    try generator.forEachGroup(of: Self.prompt, count: 70) { groups.append($0) }
    #expect(groups.map(\.count) == [64, 6])
    #expect(try groups.flatMap { $0 } == generator.continuations(of: Self.prompt, count: 70))
    struct Stop: Error {}
    var calls = 0
    #expect(throws: Stop.self) {
      try generator.forEachGroup(of: Self.prompt, count: 70) { _ in
        calls += 1
        throw Stop()
      }
    }
    #expect(calls == 1)
  }

  @Test func samplesEndWhereTheyMust() throws {
    let model = try SmallModel.make()
    for result in try Self.generator(model, tokens: 1).continuations(of: [], count: 20) {
      #expect(result.ids.count == (result.end == .length ? 1 : 0))
    }
    // With all but </s> excluded every sample is empty.
    let silent = try Self.generator(
      model, excluded: (0..<Int32(TinyDataSet.vocabulary)).filter { $0 != 2 })
    #expect(
      try silent.continuations(of: Self.prompt, count: 2).allSatisfy {
        $0.ids.isEmpty && $0.end == .sentence
      })
  }

  @Test func longPromptsAreRefused() throws {
    var config = SmallModel.config()
    config.maximumLength = 12
    let model = try SmallModel.make(config)
    let generator = try Self.generator(model, excluded: [0, 1, 2])
    // <s>, ten tokens and one more.
    let last = try generator.continuations(of: Array(repeating: 5, count: 10), count: 1)
    #expect(last[0].ids.count == 1 && last[0].end == .length)
    #expect(try generator.continuations(of: [], count: 1)[0].ids.count == 11)
    #expect(throws: EvaluationError.promptTooLong(tokens: 11, longest: 10)) {
      try generator.continuations(of: Array(repeating: 5, count: 11), count: 1)
    }
  }

  @Test func brokenWeightsAreNamed() throws {
    let model = try SmallModel.make()
    model.parameters.finalNorm.fill(.nan)
    #expect(throws: EvaluationError.noLogits(step: 0)) {
      try Self.generator(model).continuations(of: Self.prompt, count: 2)
    }
  }
}

extension [Continuation] {
  fileprivate var allTokens: [Int32] { flatMap(\.ids) }
}
