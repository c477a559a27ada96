import Eval
import Foundation
import Host
import LMData
import Model
import Storage
import Tensor
import Testing
import TestSupport

/// The surprisal of words of several tokens, with the space in front of them.
@Suite struct WordSurprisalTests {
  private static let special = SpecialIDs(bos: 1, eos: 2, unk: 0)

  /// Every third token begins a word, some are white space alone, others go on with a word.
  private static let table = TokenTable(
    (0..<TinyDataSet.vocabulary).map { id in
      let letter = UInt8(0x41 + id % 26)
      switch id {
      case 0: return Array(" ? ".utf8)
      case 1, 2: return []
      case 3: return [0x20]
      case 4: return [0x09]
      case 5: return [0x20, 0x20, letter]
      default: return id % 3 == 0 ? [0x20, letter] : [letter, letter]
      }
    })

  private static func scored(
    _ model: Transformer, _ sentences: [[Int32]], positions: Int = 4_096
  ) throws -> [ScoredSentence] {
    var scored: [ScoredSentence] = []
    var scorer = PerplexityScorer(model: model, tokenTable: table, positions: positions)
    scorer.wordStarts = try WordStarts(table, special: special)
    scorer.sink = { scored.append($0) }
    var rest = sentences.makeIterator()
    _ = try scorer.report {
      rest.next().map {
        TextSentence(text: table.decode($0), ids: $0, place: "here", name: "text", number: 7)
      }
    }
    return scored
  }

  private static let sentences: [[Int32]] = {
    var sentences: [[Int32]] = [
      [6, 9, 12], [6, 7, 8, 9, 10, 3, 12], [3, 3, 5, 8, 4, 9, 3], [], [3], [7, 8], [4, 10, 3, 4],
    ]
    for number in 0..<40 {
      sentences.append(
        (0..<(number * 7 % 23)).map { (place: Int) -> Int32 in
          Int32(3 + (number * 31 + place * place * 17 + place) % 58)
        })
    }
    return sentences
  }()

  /// p(tokens, then the end of the word) / p(beginning of a word), with the logits of the model for every
  /// prefix by itself.
  @Test(arguments: SmallModel.variants)
  func wordsHaveTheProbabilitiesOfTheirTokensAndEnds(variant: SmallModel.Variant) throws {
    let model = try SmallModel.make(variant.attention)
    let isStart = (0..<TinyDataSet.vocabulary).map { id in
      id == 2 || id > 2 && [0x20, 0x09].contains(Self.table[Int32(id)].first)
    }
    func probabilities(_ prefix: [Int32]) throws -> [Double] {
      let logits = try model.logits(ids: [1] + prefix, starts: [0, prefix.count + 1])
      let row = logits.rows(prefix.count..<prefix.count + 1).elements.map { exp(Double($0)) }
      let sum = row.reduce(0, +)
      return row.map { $0 / sum }
    }
    func starting(_ prefix: [Int32]) throws -> Double {
      zip(try probabilities(prefix), isStart).reduce(0) { $0 + ($1.1 ? $1.0 : 0) }
    }
    let starts = try WordStarts(Self.table, special: Self.special)
    var differing = 0
    for sentence in try Self.scored(model, Self.sentences) {
      let ids = sentence.score.targets
      let words = WordSurprisal.words(of: sentence.score, tokens: Self.table, starts: starts)
      let expected = sentence.text.split { Words.isSpace($0) }.map(Array.init)
      #expect(words.map(\.text) == expected + [Array("</s>".utf8)])
      #expect(words.flatMap(\.tokens) == Array(ids.indices))
      for (sum, what) in [
        (words.reduce(0) { $0 + $1.naiveNats }, "naive"),
        (words.reduce(0) { $0 + $1.nats }, "whole"),
      ] {
        #expect(abs(sum - sentence.score.nats) < 1e-9, "\(what)")
      }
      for (number, word) in words.enumerated() {
        var tokens = 1.0
        for place in word.tokens {
          tokens *= try probabilities(Array(ids[..<place]))[Int(ids[place])]
        }
        var whole = tokens
        if number + 1 < words.count { whole *= try starting(Array(ids[..<word.tokens.upperBound])) }
        if number > 0 { whole /= try starting(Array(ids[..<word.tokens.lowerBound])) }
        #expect(abs(word.naiveNats + log(tokens)) < 1e-4)
        #expect(abs(word.nats + log(whole)) < 1e-4)
        if abs(word.nats - word.naiveNats) > 0.01 { differing += 1 }
      }
    }
    #expect(differing > 100)
  }

  @Test func batchesAndThreadsChangeNoBit() throws {
    let model = try SmallModel.make()
    let whole = try Self.scored(model, Self.sentences)
    for (positions, threads) in [(1, 1), (30, 3)] {
      let parts = try withThreads(threads) {
        try Self.scored(model, Self.sentences, positions: positions)
      }
      #expect(parts.map(\.score.startNats) == whole.map(\.score.startNats))
      #expect(parts.map(\.score.nllNats) == whole.map(\.score.nllNats))
    }
    // Without being asked for they are not there, and the scores are the same bits.
    var scorer = PerplexityScorer(model: model, tokenTable: Self.table)
    var plain: [ScoredSentence] = []
    scorer.sink = { plain.append($0) }
    var rest = Self.sentences.makeIterator()
    _ = try scorer.report {
      rest.next().map { TextSentence(text: Self.table.decode($0), ids: $0, place: "here") }
    }
    #expect(plain.map(\.score.nllNats) == whole.map(\.score.nllNats))
    #expect(!plain.contains { !$0.score.startNats.isEmpty })
  }

  @Test func dataSetsHaveTheSameWordsAsTheirText() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory)
      let model = try SmallModel.make()
      let table = TinyDataSet.tokenTable
      let starts = try WordStarts(table, special: Self.special)
      var scorer = PerplexityScorer(model: model, tokenTable: table, positions: 50)
      scorer.wordStarts = starts
      var count = 0
      scorer.sink = { sentence in
        count += 1
        #expect(sentence.name == "test" && sentence.number == count)
        let words = WordSurprisal.words(of: sentence.score, tokens: table, starts: starts)
        #expect(words.count == sentence.words + 1)
        #expect(abs(words.reduce(0) { $0 + $1.nats } - sentence.score.nats) < 1e-9)
      }
      _ = try scorer.report(dataSet: data, split: "test")
      #expect(count == 60)
    }
  }

  @Test func tokensThatHoldTheEndOfAWordAreRefused() throws {
    for token in ["a b", "a ", " a\t"] {
      let table = TokenTable([Array(" ? ".utf8), [], [], Array(token.utf8)])
      let error = #expect(throws: EvaluationError.self) {
        try WordStarts(table, special: Self.special)
      }
      #expect(error?.description.contains("(\"\(token)\")") == true)
    }
    // White space in a row is no word, and rows beyond the tokens begin none.
    let table = TokenTable([
      Array(" ? ".utf8), [], [], Array("  ".utf8), Array("\t a".utf8), [0x61],
    ])
    let starts = try WordStarts(table, special: Self.special, ends: [6], rows: 8)
    #expect((0..<8).map { starts[$0] } == [false, false, true, true, true, false, true, false])
  }

  /// Where all tokens but a marker begin a word their probability together is what the marker leaves, in clusters
  /// of the vocabulary as well.
  @Test(arguments: [[], [6, 20]]) func wholeWordsAreWhatTheMarkerLeaves(cutoffs: [Int]) throws {
    let table = TokenTable(
      (0..<TinyDataSet.vocabulary).map { id in
        id == 0
          ? [0x20] + Words.unknown : [1, 2].contains(id) ? [] : [0x20, UInt8(0x41 + id % 26)]
      })
    let starts = try WordStarts(table, special: Self.special)
    #expect(starts.fewOthers == [1])
    #expect(try WordStarts(Self.table, special: Self.special).fewOthers == nil)
    var config = SmallModel.config()
    config.cutoffs = cutoffs
    let model = try SmallModel.make(config)
    let (ids, targets): ([Int32], [Int32]) = ([1, 9, 1, 30, 0, 4], [9, 2, 30, 0, 4, 2])
    let batch = Batch(ids: ids, targets: targets, starts: [0, 2, 6])
    let scores = try Evaluator(model, wordStarts: starts).score(batch)
    let plain = try Evaluator(model).score(batch)
    #expect(scores.map(\.nllNats) == plain.map(\.nllNats))
    let logits = try model.logits(ids: ids, starts: batch.starts)
    for (place, found) in scores.flatMap(\.startNats).enumerated() {
      let expected = starts.nats(logits.rows(place..<place + 1).elements.span)
      #expect(expected > 1e-4 && abs(found - expected) < 1e-6, "\(found), \(expected)")
    }
  }

  @Test func aStartThatIsHardlyPossibleHasAFigure() throws {
    let starts = try WordStarts(
      TokenTable([[], [], [], [0x20], [0x61]]), special: Self.special)
    let logits: [Float] = [-1_000, -1_000, -1_000, -1_001, 900]
    let expected = 1_900 - log(1 + exp(-1.0))
    #expect(abs(starts.nats(logits.span) - expected) < 1e-9)
  }

  @Test func linesOfWordsAreAsDocumented() throws {
    let table = TokenTable([[], [], [], Array(" a".utf8), Array("\"\\".utf8), [0xE2], [0x20]])
    let starts = try WordStarts(table, special: Self.special)
    let score = SequenceScore(
      targets: [3, 4, 5, 6, 3, 2], nllNats: [1, 0.5, 2, 0.25, 0.5, 4],
      startNats: [0.125, 0, 0, 0.75, 0.25, 2])
    let sentence = ScoredSentence(
      score: score, text: [], words: 2, name: "a\tb", number: 3)
    try withTemporaryDirectory { directory in
      let path = directory + "/words"
      func lines(_ format: ScoreFormat) throws -> [String] {
        let file = try ScoreFile(
          path: path, lines: ScoreLines(.words(table, starts), format: format))
        try file.append(sentence)
        try file.finish()
        return String(decoding: try Files.contents(of: path), as: UTF8.self)
          .split(separator: "\n").map(String.init)
      }
      let rows = try lines(.table)
      #expect(
        rows[0]
          == "# name\tsentence\tword\ttext\ttokens\tnaive_nats\tnaive_bits\tnats\tbits")
      #expect(rows.count == 4)
      let bits = { (nats: Double) in "\(nats / log(2))" }
      #expect(
        rows[1]
          == "a\\tb\t3\t1\ta\"\\\\\u{FFFD}\t▁a \"\\\\ \\xE2\t3.5\t\(bits(3.5))\t4.25\t\(bits(4.25))"
      )
      #expect(rows[2] == "a\\tb\t3\t2\ta\t▁ ▁a\t0.75\t\(bits(0.75))\t2.0\t\(bits(2))")
      #expect(rows[3] == "a\\tb\t3\t3\t</s>\t</s>\t4.0\t\(bits(4))\t2.0\t\(bits(2))")

      let objects = try lines(.jsonl).map {
        try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
      #expect(objects.count == 3)
      #expect(objects[0]["name"] as? String == "a\tb" && objects[0]["sentence"] as? Int == 3)
      #expect(objects[0]["text"] as? String == "a\"\\\u{FFFD}")
      #expect(objects[0]["tokens"] as? [String] == ["▁a", "\"\\\\", "\\xE2"])
      #expect(objects.map { $0["word"] as? Int } == [1, 2, 3])
      #expect(objects.map { $0["naive_nats"] as? Double } == [3.5, 0.75, 4])
      #expect(objects.map { $0["nats"] as? Double } == [4.25, 2, 2])
      #expect(objects[1]["bits"] as? Double == 2 / log(2))
    }
  }

  @Test func sentencesAreJSONLinesToo() throws {
    let table = TokenTable([[], [], [], Array(" a".utf8)])
    let sentence = ScoredSentence(
      score: SequenceScore(targets: [3, 2], nllNats: [1, 0.5]), text: Array("a\u{1}".utf8),
      words: 1,
      name: "f", number: 2)
    try withTemporaryDirectory { directory in
      for unit in [ScoreLines.Unit.sentences, .tokens(table)] {
        let path = directory + "/lines"
        let file = try ScoreFile(path: path, lines: ScoreLines(unit, format: .jsonl))
        try file.append(sentence)
        try file.finish()
        let text = String(decoding: try Files.contents(of: path), as: UTF8.self)
        #expect(text.hasSuffix("}\n"))
        let object = try #require(
          JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
        #expect(object["text"] as? String == "a\u{1}" && object["nats"] as? Double == 1.5)
        #expect(object["words"] as? Int == 1 && object["sentence"] as? Int == 2)
        if case .tokens = unit {
          #expect(object["tokens"] as? [String] == ["▁a", "</s>"])
          #expect(object["logprobs"] as? [Double] == [-1, -0.5])
        } else {
          #expect(object["tokens"] as? Int == 1)
        }
      }
    }
  }
}
