import Eval
import Foundation
import LMData
import Model
import Storage
import Testing
import TestSupport

/// Figures by frequency, by position, by file, and of windows that overlap.
@Suite(.serialized) struct BreakdownTests {
  private static let lengths = [5, 0, 19, 1, 33, 8, 2, 47, 3, 3, 3, 12, 40, 1, 0, 26]
  /// Of every token: 0 to 9, then the same times 10, 100 and 1,000.
  private static let counts = (0..<TinyDataSet.vocabulary).map { id in
    id % 10 * [1, 10, 100, 1_000][id / 10 % 4]
  }

  private static func report(
    _ model: Transformer, _ sentences: [(text: [UInt8], ids: [Int32])], positions: Int = 4_096,
    sink: ((ScoredSentence) throws -> Void)? = nil
  ) throws -> PerplexityReport {
    var scorer = PerplexityScorer(
      model: model, tokenTable: TinyDataSet.tokenTable, positions: positions)
    scorer.breakdowns = [.frequency(counts), .position]
    scorer.separatesSources = true
    scorer.sink = sink
    var rest = sentences.enumerated().makeIterator()
    return try scorer.report {
      rest.next().map {
        TextSentence(
          text: $0.element.text, ids: $0.element.ids, place: "here",
          source: $0.element.ids.count % 3)
      }
    }
  }

  @Test func bandsHoldEveryTokenOnce() throws {
    let model = try SmallModel.make()
    let sentences = textSentences(Self.lengths)
    var frequency: [Int: (tokens: Int, nats: Double)] = [:]
    var position: [Int: (tokens: Int, nats: Double)] = [:]
    var sources: [Int: Tally] = [:]
    let report = try Self.report(model, sentences) { sentence in
      for (place, (target, nll)) in zip(sentence.score.targets, sentence.score.nllNats).enumerated()
      {
        let band = String(Self.counts[Int(target)]).count
        let first = Self.counts[Int(target)] == 0 ? 0 : band
        frequency[first, default: (0, 0)].tokens += 1
        frequency[first]?.nats += Double(nll)
        var octave = 0
        while 1 << octave < place + 1 { octave += 1 }
        position[octave, default: (0, 0)].tokens += 1
        position[octave]?.nats += Double(nll)
      }
      sources[sentence.tokens % 3, default: Tally()] += Tally(
        nats: sentence.score.nats, tokens: sentence.tokens, sentences: 1, words: sentence.words,
        bytes: sentence.text.count + 1)
    }
    #expect(report.breakdowns.map(\.isByPosition) == [false, true])
    for (breakdown, expected) in zip(report.breakdowns, [frequency, position]) {
      #expect(breakdown.bands.count == (expected.keys.max() ?? 0) + 1)
      for (index, band) in breakdown.bands.enumerated() {
        #expect(band.tokens == expected[index]?.tokens ?? 0)
        #expect(abs(band.nats - (expected[index]?.nats ?? 0)) < 1e-9)
      }
      #expect(abs(breakdown.bands.reduce(0) { $0 + $1.nats } - report.tally.nats) < 1e-9)
    }
    #expect(
      report.breakdowns[0].bands.map(\.lowest) == [0, 1, 10, 100, 1_000]
        && report.breakdowns[0].bands.map(\.highest) == [0, 9, 99, 999, 9_999])
    #expect(
      report.breakdowns[1].bands.map(\.lowest) == [1, 2, 3, 5, 9, 17, 33]
        && report.breakdowns[1].bands.map(\.highest) == [1, 2, 4, 8, 16, 32, 64])
    #expect(report.sources.count == 3)
    for (source, tally) in report.sources {
      let expected = try #require(sources[source])
      #expect(abs(tally.nats - expected.nats) < 1e-9 && tally.words == expected.words)
      #expect(tally.tokens == expected.tokens && tally.sentences == expected.sentences)
      #expect(tally.bytes == expected.bytes)
    }
  }

  @Test func orderBatchesAndThreadsChangeNoBit() throws {
    let model = try SmallModel.make()
    let sentences = textSentences(Self.lengths)
    let whole = try Self.report(model, sentences)
    for (positions, threads) in [(1, 1), (40, 3)] {
      let other = try withThreads(threads) {
        try Self.report(model, sentences.reversed(), positions: positions)
      }
      #expect(other.breakdowns == whole.breakdowns && other.sources == whole.sources)
    }
    // And change nothing of the rest.
    var rest = sentences.makeIterator()
    let plain = try PerplexityScorer(model: model, tokenTable: TinyDataSet.tokenTable).report {
      rest.next().map { TextSentence(text: $0.text, ids: $0.ids, place: "here") }
    }
    #expect(plain == whole && plain.breakdowns.isEmpty && plain.sources.isEmpty)
  }

  @Test func ranksHaveTheBandsOfOne() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory)
      let reports = try [1, 3].flatMap { size in
        try ThreadRanks.run(size) { communicator in
          var scorer = PerplexityScorer(
            model: try SmallModel.make(), tokenTable: TinyDataSet.tokenTable, positions: 40,
            communicator: communicator)
          scorer.breakdowns = [.frequency(Self.counts), .position]
          let split = try scorer.report(dataSet: data, split: "test")
          var rest = textSentences(Self.lengths).makeIterator()
          let text = try scorer.report {
            rest.next().map { TextSentence(text: $0.text, ids: $0.ids, place: "here") }
          }
          return [split, text]
        }
      }
      #expect(reports.count == 4)
      for report in reports {
        for (one, other) in zip(report, reports[0]) {
          #expect(one.breakdowns == other.breakdowns && one == other)
        }
      }
    }
  }

  @Test func trainingTokensAreCounted() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory)
      var expected = [Int](repeating: 0, count: TinyDataSet.vocabulary)
      var source = try EvaluationSource(
        dataSet: data, split: "train", mode: .sentences, budget: 100)
      while let batch = try source.nextBatch() {
        for id in batch.targets { expected[Int(id)] += 1 }
      }
      var seen = 0
      #expect(try data.tokenCounts(of: "train") { seen += $0 } == expected)
      #expect(seen == expected.reduce(0, +) && expected[2] == 180)
      #expect(throws: DataSetError.self) { try data.tokenCounts(of: "none") }
    }
  }

  // MARK: Windows that overlap

  /// Every token once, after at least length - stride others wherever there are as many.
  @Test(arguments: [(1, 1), (5, 2), (7, 7), (16, 5), (64, 63), (50, 1), (100_000, 9)])
  func overlappingWindowsScoreEveryTokenOnce(length: Int, stride: Int) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory, shards: 2, sentences: 25)
      let model = try SmallModel.make()
      let table = TinyDataSet.tokenTable
      let mode = SequenceMode.overlapping(length: length, stride: stride)
      var scored: [SequenceScore] = []
      try Validator(
        model: model, dataSet: data, split: "train", mode: mode, tokenTable: table, positions: 200
      ).forEachSequence {
        scored.append($0)
        return true
      }
      // One window after the other, from the ids of the shards.
      var expected: [[Float]] = []
      var targets: [Int32] = []
      for shard in try data.split("train") {
        let ids = try DecodedShard(reader: data.reader(for: shard), eos: 2).ids
        targets += ids
        var next = 0
        while next < ids.count {
          let end = next == 0 ? min(length, ids.count) : min(next + stride, ids.count)
          let first = next == 0 ? 0 : next - (length - stride)
          #expect(next == 0 || first >= 0)
          let inputs = [first == 0 ? 1 : ids[first - 1]] + ids[first..<end - 1]
          let nll = try model.nllNats(
            ids: inputs, targets: Array(ids[first..<end]), starts: [0, end - first])
          expected.append(Array(nll[(next - first)...]))
          next = end
        }
      }
      #expect(scored.flatMap(\.targets) == targets)
      #expect(scored.map(\.nllNats) == expected)

      let report = try PerplexityScorer(model: model, tokenTable: table)
        .report(dataSet: data, splits: ["train"], mode: mode)
      let totals = data.manifest.totals(of: "train")
      #expect(report.tally.tokens == totals.tokens && report.tally.words == totals.words)
      if stride == length {
        let plain = try PerplexityScorer(model: model, tokenTable: table)
          .report(dataSet: data, splits: ["train"], mode: .stream(length: length))
        #expect(plain == report)
      }
      let ranked = try ThreadRanks.run(3) { communicator in
        try PerplexityScorer(
          model: try SmallModel.make(), tokenTable: table, positions: 100,
          communicator: communicator
        ).report(dataSet: data, splits: ["train"], mode: mode)
      }
      #expect(ranked.allSatisfy { $0 == report })
    }
  }

  @Test func recordsTellOverlappingWindowsApart() throws {
    try withTemporaryDirectory { directory in
      func record(_ stride: Int?) -> EvaluationRecord {
        EvaluationRecord(
          checkpoint: directory, step: nil, weightsSHA256: "w", parameters: 1, attention: "softmax",
          tokenizerSHA256: "t", vocabularySize: 5, text: "text",
          textSums: TextSums(md5: "m", sha256: "s"), textIsMapped: false, window: 1_024,
          stride: stride, outOfVocabulary: nil,
          tally: Tally(nats: 1, tokens: 1, sentences: 1, words: 1, bytes: 2), standardError: nil)
      }
      for stride in [nil, 512, 256, 512] {
        try EvaluationLog.add(record(stride), run: directory)
      }
      #expect(try EvaluationLog.read(run: directory).map(\.stride) == [nil, 256, 512])
      #expect(
        record(256).paperLine.contains(
          "windows of 1,024 tokens, each after at least 768 tokens of context (stride 256), across")
      )
      #expect(record(nil).paperLine.contains("windows of 1,024 tokens, across sentences"))
    }
  }
}
