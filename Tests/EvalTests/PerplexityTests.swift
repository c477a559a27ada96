import Eval
import Foundation
import Host
import LMData
import Model
import Storage
import Tensor
import Testing
import TestSupport

/// Scoring of whole texts.
@Suite(.serialized) struct PerplexityTests {
  private static func report(
    _ model: Transformer, _ sentences: [(text: [UInt8], ids: [Int32])], positions: Int = 64,
    sink: ((ScoredSentence) throws -> Void)? = nil
  ) throws -> PerplexityReport {
    var scorer = PerplexityScorer(
      model: model, tokenTable: TinyDataSet.tokenTable, positions: positions)
    scorer.sink = sink
    var rest = sentences.enumerated().makeIterator()
    return try scorer.report {
      rest.next().map {
        TextSentence(text: $0.element.text, ids: $0.element.ids, place: "line \($0.offset + 1)")
      }
    }
  }

  private static let lengths = [5, 0, 19, 1, 33, 8, 2, 47, 3, 3, 3, 12, 140, 1, 0, 26]

  @Test(arguments: SmallModel.variants)
  func budgetOrderAndThreadsChangeNoBit(variant: SmallModel.Variant) throws {
    let model = try SmallModel.make(variant.attention)
    let sentences = textSentences(Self.lengths)
    let whole = try Self.report(model, sentences)
    #expect(whole.tally.sentences == Self.lengths.count)
    #expect(whole.tally.tokens == Self.lengths.reduce(0, +))
    #expect(whole.standardError.map { $0 > 0 } == true)
    for positions in [1, 7, 10_000] {
      for threads in [1, 3] {
        let report = try withThreads(threads) {
          try Self.report(model, sentences, positions: positions)
        }
        #expect(report == whole)
      }
    }
    #expect(try Self.report(model, sentences.reversed()) == whole)
    let odd = sentences.indices.filter { $0 % 2 == 1 } + sentences.indices.filter { $0 % 2 == 0 }
    #expect(try Self.report(model, odd.map { sentences[$0] }, positions: 50) == whole)
  }

  @Test func natsAreThoseOfTheModel() throws {
    let model = try SmallModel.make()
    let sentences = textSentences([4, 9])
    var sum = 0.0
    for (_, ids) in sentences {
      let logits = try model.logits(ids: [1] + ids, starts: [0, ids.count + 1])
      for (row, target) in (ids + [2]).enumerated() {
        let values = logits.rows(row..<row + 1).elements.map(Double.init)
        sum += log(values.reduce(0) { $0 + exp($1) }) - values[Int(target)]
      }
    }
    let report = try Self.report(model, sentences)
    #expect(abs(report.tally.nats - sum) < 1e-5 * sum)
    let bytes = sentences.reduce(0) { $0 + $1.text.count + 1 }
    #expect(report.tally.bytes == bytes)
    #expect(report.tally.words == 13)
  }

  @Test func dataSetAndItsTextAgree() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory)
      let model = try SmallModel.make()
      var scored: [ScoredSentence] = []
      var scorer = PerplexityScorer(model: model, tokenTable: TinyDataSet.tokenTable)
      scorer.sink = { scored.append($0) }
      let report = try scorer.report(dataSet: data, split: "test")
      let totals = data.manifest.totals(of: "test")
      #expect(report.tally.sentences == totals.sentences)
      #expect(report.tally.words == totals.words && report.tally.bytes == totals.bytes)
      let sentences = scored.map { ($0.text, Array($0.score.targets.dropLast())) }
      #expect(try Self.report(model, sentences) == report)

      // Sentence by sentence the sums are those that the trainer's validation prints.
      let table = TinyDataSet.tokenTable
      var total = Tally()
      for sentence in scored {
        let ids = Array(sentence.score.targets.dropLast())
        let (words, bytes) = table.measure(ids)
        total += Tally(
          nats: sentence.score.nats, tokens: ids.count, sentences: 1, words: words, bytes: bytes)
      }
      let validation = try Validator(
        model: model, dataSet: data, split: "test", tokenTable: table, positions: 33
      ).tally()
      #expect(total == validation)
      #expect(abs(validation.nats - report.tally.nats) <= 1e-12 * report.tally.nats)
      #expect(validation.words == report.tally.words)
    }
  }

  /// Windows that begin and end inside sentences count each word and byte once.
  @Test(arguments: [1, 2, 5, 64, 100_000])
  func streamCountsAreExact(length: Int) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory)
      let model = try SmallModel.make()
      let report = try PerplexityScorer(model: model, tokenTable: TinyDataSet.tokenTable)
        .report(dataSet: data, split: "train", mode: .stream(length: length))
      let totals = data.manifest.totals(of: "train")
      #expect(report.tally.words == totals.words && report.tally.bytes == totals.bytes)
      #expect(report.tally.tokens == totals.tokens)
      #expect(report.tally.sentences == totals.sentences)
      #expect(report.standardError == nil)
      let validation = try Validator(
        model: model, dataSet: data, split: "train", mode: .stream(length: length),
        tokenTable: TinyDataSet.tokenTable
      ).tally()
      #expect(validation.words == totals.words && validation.bytes == totals.bytes)
    }
  }

  @Test func validationStopsAtItsLimit() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory)
      let validator = Validator(
        model: try SmallModel.make(), dataSet: data, split: "valid",
        tokenTable: TinyDataSet.tokenTable)
      #expect(try validator.tally(limit: 7).sentences == 7)
    }
  }

  @Test func countsThatDisagreeWithTheManifestAreRefused() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory)
      var splits = data.manifest.splits
      splits["test"]?[0].words += 1
      try Manifest(
        tokenizer: data.manifest.tokenizer, special: data.manifest.special, splits: splits
      ).write(to: directory)
      let wrong = try DataSet(directory: directory)
      let totals = wrong.manifest.totals(of: "test")
      #expect(
        throws: EvaluationError.miscounted(
          split: "test", what: "words", expected: totals.words, found: totals.words - 1)
      ) {
        try PerplexityScorer(model: SmallModel.make(), tokenTable: TinyDataSet.tokenTable)
          .report(dataSet: wrong, split: "test")
      }
    }
  }

  @Test func whatCannotBeScoredIsNamed() throws {
    let model = try SmallModel.make()
    #expect(throws: EvaluationError.nothingToScore) { try Self.report(model, []) }
    var sentences = textSentences([3, 4])
    sentences[1].text.append(UInt8(ascii: "!"))
    #expect(throws: EvaluationError.notSpelled(place: "line 2")) {
      try Self.report(model, sentences)
    }
    // A weight that is read at one sentence only: its token has no number for an embedding.
    let config = SmallModel.config()
    var untied = config
    untied.tiedHead = false
    let broken = try SmallModel.make(untied)
    broken.parameters.embedding.rows(40..<41).fill(.nan)
    let lines: [[Int32]] = [[3, 4], [5], [6, 40, 7], [8]]
    #expect(throws: EvaluationError.notFinite(place: "line 3")) {
      try Self.report(broken, lines.map { (TinyDataSet.tokenTable.decode($0), $0) })
    }
  }

  @Test func otherTokenizersAreRefused() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let config = SmallModel.config()
      let model = try SmallModel.make(config)
      let folder = directory + "/run/" + CheckpointFolder.name(step: 3)
      try Files.createDirectory(folder)
      try ModelFiles.write(config, model.parameters, directory: folder)
      try AtomicFile.write(
        TinyDataSet.tokenizer, to: folder + "/" + CheckpointFolder.tokenizerName)
      let trained = try TrainedModel(directory + "/run/", verifyingWeights: true)
      #expect(trained.path == folder)
      try trained.check(data)
      try AtomicFile.write([1, 2, 3], to: folder + "/" + CheckpointFolder.tokenizerName)
      let other = try TrainedModel(folder, verifyingWeights: true)
      let error = #expect(throws: EvaluationError.self) { try other.check(data) }
      #expect(error?.description.contains(data.manifest.tokenizer.sha256) == true)
      #expect(error?.description.contains(other.tokenizerSHA256) == true)
      #expect(throws: EvaluationError.self) {
        var trained = trained
        try trained.fit(vocabularySize: config.vocabularySize + 1, special: data.special)
      }
    }
  }

  @Test func flippedWeightsAreRefused() throws {
    try withTemporaryDirectory { folder in
      let config = SmallModel.config()
      try ModelFiles.write(config, SmallModel.make(config).parameters, directory: folder)
      for name in [
        CheckpointFolder.tokenizerName, CheckpointFolder.stateName, CheckpointFolder.optimizerName,
      ] {
        try AtomicFile.write([7], to: folder + "/" + name)
      }
      let sums = try Files.entries(of: folder).map { name in
        try SHA256.hexDigest(ofFile: folder + "/" + name) + "  " + name + "\n"
      }
      try AtomicFile.write(
        Array(sums.joined().utf8), to: folder + "/" + CheckpointFolder.sumsName)
      _ = try TrainedModel(folder, verifyingWeights: true)
      let path = folder + "/" + ModelFiles.weightsName
      var bytes = try Files.contents(of: path)
      bytes[bytes.count - 100] ^= 1
      try AtomicFile.write(bytes, to: path)
      let error = #expect(throws: CheckpointError.self) {
        try TrainedModel(folder, verifyingWeights: true)
      }
      #expect(error?.description.contains(path) == true)
    }
  }
}
