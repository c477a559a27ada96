import Eval
import Foundation
import Host
import LMData
import Model
import Tensor
import Testing
import TestSupport

/// Where samples end, what their tokens cost, and tokens that were there before.
@Suite(.serialized) struct StopTests {
  private static func stops(_ texts: String...) -> StopTexts {
    StopTexts(texts.map { Array($0.utf8) })
  }

  @Test func theFirstTextCounts() {
    let stops = Self.stops("ab", "abc", "\u{20AC}")
    for (text, start) in [
      ("", nil), ("a", nil), ("xab", 1), ("abab", 0), ("cba", nil), ("x\u{20AC}ab", 1), ("aab", 1),
    ] as [(String, Int?)] {
      let bytes = Array(text.utf8)
      #expect(stops.start(in: bytes) == start, "\(text)")
      // Found as well when the text grows byte by byte.
      let found = bytes.indices.lazy.compactMap { stops.start(in: Array(bytes[...$0]), known: $0) }
      #expect(found.first == start, "\(text)")
    }
    for (text, count) in [("xa", 1), ("x", 0), ("", 0), ("aba", 1)] {
      #expect(stops.unfinished(Array(text.utf8)) == count, "\(text)")
    }
    #expect(stops.unfinished([0x61, 0xE2, 0x82]) == 2)
    #expect(StopTexts([]).start(in: [1, 2]) == nil && StopTexts([]).unfinished([1]) == 0)
  }

  private static let prompt: [Int32] = [17, 4, 30, 9, 11]

  private static func generator(
    _ model: Transformer, temperature: Double = 1, penalty: Double = 1,
    stops: StopTexts = StopTexts([]), hasLogProbabilities: Bool = false
  ) throws -> Generator {
    var options = SamplingOptions()
    options.temperature = temperature
    options.repetitionPenalty = penalty
    return Generator(
      model: model,
      sampler: try Sampler(
        options, seed: 1, vocabulary: TinyDataSet.vocabulary, excluded: [0, 1]),
      maximumTokens: 40, stops: stops, tokens: TinyDataSet.tokenTable,
      hasLogProbabilities: hasLogProbabilities)
  }

  @Test func samplesEndAtATextAndAreThoseWithoutItUpToThere() throws {
    let model = try SmallModel.make()
    let table = TinyDataSet.tokenTable
    for prompt in [[], Self.prompt] {
      let free = try Self.generator(model).continuations(of: prompt, count: 70)
      // The end of a token and the beginning of the next.
      let texts = ["C", "K ", " Q"].map { Array($0.utf8) }
      let stops = StopTexts(texts)
      let stopped = try Self.generator(model, stops: stops).continuations(of: prompt, count: 70)
      var count = 0
      for (sample, whole) in zip(stopped, free) {
        func text(_ ids: some Collection<Int32>) -> [UInt8] {
          Array(table.decode(prompt + ids).dropFirst(table.decode(prompt).count))
        }
        let end = whole.ids.indices.first { stops.start(in: text(whole.ids[...$0])) != nil }
        if let end {
          #expect(sample.ids == Array(whole.ids[...end]) && sample.end == .stop)
          count += 1
        } else {
          #expect(sample == whole)
        }
      }
      #expect(count > 20 && count < 70)
      #expect(
        try Self.generator(model, stops: stops).continuations(of: prompt, count: 3)
          == Array(stopped.prefix(3)))
    }
  }

  @Test(arguments: SmallModel.variants)
  func probabilitiesAreThoseOfScoring(variant: SmallModel.Variant) throws {
    let model = try SmallModel.make(variant.attention)
    let plain = try Self.generator(model, temperature: 0.7).continuations(
      of: Self.prompt, count: 20)
    let samples = try Self.generator(model, temperature: 0.7, hasLogProbabilities: true)
      .continuations(of: Self.prompt, count: 20)
    #expect(samples.map(\.ids) == plain.map(\.ids))
    #expect(plain.map(\.logProbabilities.count).max() == 0)
    var closed = 0
    for sample in samples {
      let ids = Self.prompt + sample.ids + (sample.end == .sentence ? [2] : [])
      let nll = try model.nllNats(ids: [1] + ids.dropLast(), targets: ids, starts: [0, ids.count])
      let expected = nll.dropFirst(Self.prompt.count).map { -Double($0) }
      #expect(sample.logProbabilities.count == expected.count)
      for (found, expected) in zip(sample.logProbabilities, expected) {
        #expect(abs(found - expected) < 1e-4)
      }
      if sample.end == .sentence { closed += 1 }
    }
    #expect(closed > 0)
  }

  /// The most probable token after every prefix, those that were there made less probable.
  @Test func penalisedGreedyIsThatOfTheFullForward() throws {
    let model = try SmallModel.make()
    let penalty: Float = 1.3
    let sample = try Self.generator(model, temperature: 0, penalty: 1.3)
      .continuations(of: Self.prompt, count: 2)
    #expect(sample[0] == sample[1])
    var ids = [1] + Self.prompt
    for id in sample[0].ids {
      var logits = try model.logits(ids: ids, starts: [0, ids.count])
        .rows(ids.count - 1..<ids.count).elements
      for seen in Set(ids.dropFirst()) {
        let logit = logits[Int(seen)]
        logits[Int(seen)] = logit > 0 ? logit / penalty : logit * penalty
      }
      var best = 2
      for other in 2..<logits.count where logits[other] > logits[best] { best = other }
      #expect(Int32(best) == id)
      ids.append(id)
    }
    let free = try Self.generator(model, temperature: 0).continuations(of: Self.prompt, count: 1)
    #expect(free[0] != sample[0])
  }

  @Test func repeatedTokensArePenalisedOnce() throws {
    func choose(_ logits: [Float], penalty: Double, past: [Int32]) throws -> Int32 {
      var options = SamplingOptions()
      options.temperature = 0
      options.repetitionPenalty = penalty
      return try Sampler(options, seed: 1, vocabulary: logits.count, excluded: [] as [Int32])
        .choose(logits, sample: 0, step: 0, past: past)
    }
    #expect(try choose([2, 1.8], penalty: 1.05, past: [0, 0, 0]) == 0)
    #expect(try choose([2, 1.8], penalty: 1.2, past: [0]) == 1)
    #expect(try choose([-1, -1.1], penalty: 1.2, past: [0]) == 1)
    #expect(try choose([2, 1.8], penalty: 1, past: [0]) == 0)
    #expect(try choose([1.8, 2], penalty: 0.5, past: [0]) == 0)
    for wrong in [0, -1, 0.001, 101, Double.nan, .infinity] {
      var options = SamplingOptions()
      options.repetitionPenalty = wrong
      #expect(throws: EvaluationError.self) { try options.validate() }
    }
  }

  @Test func tokensAreSpelledOnOneLine() {
    let table = TokenTable(
      [" a b", "\t\r\n\\", "é"].map { Array($0.utf8) } + [[0xE2], [0x0F, 0xFF], []])
    #expect(
      (0..<6).map { table.spelling($0) } == [
        "▁a▁b", "\\t\\r\\n\\\\", "é", "\\xE2", "\\x0F\\xFF", "",
      ])
  }
}
