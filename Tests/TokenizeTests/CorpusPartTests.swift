import LMData
import Storage
import TestSupport
import Testing
import Tokenize

/// Parts of a corpus that were made apart give the bytes of the whole.
@Suite struct CorpusPartTests {
  private func builder(_ folder: TemporaryFolder, _ output: String) throws -> DataSetBuilder {
    var builder = DataSetBuilder(
      corpus: try Corpus.plain(train: [folder.path + "/in"]), output: folder.path + "/" + output,
      tokenizer: .train(TokenizerRecipe(vocabularySize: 400), SampleLimits()))
    builder.rule = try SplitRule(valid: 0.1, test: 0, seed: 3)
    builder.seed = 3
    return builder
  }

  private func write(_ folder: TemporaryFolder) throws {
    for number in 0..<5 {
      let lines = Samples.lines(300 + 90 * number, seed: UInt64(number)).joined(separator: "\n")
      try folder.write(lines + "\n", to: "in/\(number).txt")
    }
  }

  /// `part1` and `part2` of one corpus.
  private func makeTwoParts(_ folder: TemporaryFolder) throws {
    try write(folder)
    for number in 1...2 {
      var part = try builder(folder, "part\(number)")
      part.part = try CorpusPart(number, of: 2)
      _ = try part.build()
    }
  }

  @Test(arguments: [1, 2, 3, 7]) func partsJoinToTheWhole(count: Int) throws {
    let folder = try TemporaryFolder()
    try write(folder)
    _ = try builder(folder, "whole").build()
    let tokenizer = try builder(folder, "whole").makeTokenizer()
    for number in 1...count {
      var part = try builder(folder, "part\(number)")
      part.part = try CorpusPart(number, of: count)
      // Given, trained once more: the same.
      if number > 1 { part.tokenizer = .serialized(tokenizer) }
      _ = try part.build()
      try DataSet(directory: part.output).verify()
    }
    // In any order.
    let places = (1...count).reversed().map { folder.path + "/part\($0)" }
    _ = try DataSetJoin(parts: places, output: folder.path + "/joined").run()
    #expect(try folder.contents(of: "joined") == folder.contents(of: "whole"))
    try DataSet(directory: folder.path + "/joined").verify()
  }

  @Test func onlyAllPartsOfOneCorpusAreJoined() throws {
    let folder = try TemporaryFolder()
    try makeTwoParts(folder)
    _ = try builder(folder, "whole").build()
    func refused(_ parts: [String], _ words: String) {
      let error = #expect(throws: TokenizerError.self) {
        try DataSetJoin(
          parts: parts.map { folder.path + "/" + $0 }, output: folder.path + "/joined"
        ).run()
      }
      #expect(error?.description.contains(words) == true, "\(error?.description ?? "nothing")")
      #expect(!Files.exists(folder.path + "/joined"))
    }
    refused(["part1"], "part 2 of 2 is missing")
    refused(["part1", "part1"], "are both part 1 of 2")
    refused(["part1", "whole"], "is no part")
    refused([], "there are no parts")
    var other = try builder(folder, "part2")
    other.part = try CorpusPart(2, of: 2)
    other.overwrite = true
    other.tokenizer = .train(TokenizerRecipe(vocabularySize: 300), SampleLimits())
    _ = try other.build()
    refused(["part1", "part2"], "another tokenizer")
    #expect(throws: TokenizerError.self) { try CorpusPart(3, of: 2) }
    #expect(throws: TokenizerError.self) { try CorpusPart(0, of: 2) }
  }

  /// A part that changed since it was made is not joined; a job that has just made it need not look.
  @Test func aDamagedPartIsFound() throws {
    let folder = try TemporaryFolder()
    try makeTwoParts(folder)
    let shard = try #require(
      try DataSet(directory: folder.path + "/part2").manifest.splits["train"]?.first?.file)
    let path = folder.path + "/part2/" + shard
    var bytes = try Files.contents(of: path)
    bytes[bytes.count / 2] ^= 1
    try AtomicFile.write(bytes, to: path)
    var join = DataSetJoin(
      parts: [1, 2].map { folder.path + "/part\($0)" }, output: folder.path + "/joined")
    let error = #expect(throws: TokenizerError.self) { try join.run() }
    #expect(error?.description.contains("\(path) is damaged") == true)
    #expect(!Files.exists(folder.path + "/joined"))
    join.comparesSums = false
    _ = try join.run()
    #expect(throws: (any Error).self) { try DataSet(directory: folder.path + "/joined").verify() }
  }
}
