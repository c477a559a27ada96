import Foundation
import LMData
import Storage
import TestSupport
import Testing
import Tokenize

/// Tokens that are the words of a list.
@Suite struct WordLevelTests {
  private static let words = [
    "the", "naïve", "a", "x▁y", "…", "kings", "longer-than-sixteen-bytes",
  ]
  private static let model = Result { () throws(TokenizerError) in
    try SentencePieceModel(
      serialized: WordLevelModel.serialized(words.map { Array($0.utf8) }))
  }

  private static func ids(_ text: String) throws -> [Int32] {
    try LineEncoder(model: model.get()).encode(Array(text.utf8))
  }

  @Test func everyWordIsItsTokenAndEveryOtherUnknown() throws {
    let model = try Self.model.get()
    #expect(model.modelType == .word && model.vocabularySize == 10)
    #expect(model.special == SpecialIDs(bos: 1, eos: 2, unk: 0) && model.unknownWordID == 0)
    #expect(try Self.ids("the naïve a x▁y … kings longer-than-sixteen-bytes") == Array(3..<10))
    #expect(try Self.ids("The thekings <UNK> <unk> </s> a") == [0, 0, 0, 0, 0, 5])
    // White space only separates.
    #expect(try Self.ids("  the\t a  \r") == [3, 5])
    #expect(try Self.ids("") == [] && Self.ids("   ") == [])
    for text in ["the a", "  the\t a ", "nobody", ""] {
      #expect(try model.encode(Array(text.utf8)) == Self.ids(text))
    }
    #expect(throws: TokenizerError.self) {
      try LineEncoder(model: model).encode([0x74, 0x20, 0xFF])
    }
  }

  @Test func tokensSpellTheirWords() throws {
    let table = try Self.model.get().tokenTable()
    let ids: [Int32] = [3, 0, 6, 5]
    #expect(String(decoding: table.decode(ids), as: UTF8.self) == "the <UNK> x▁y a")
    #expect(table.measure(ids).words == 4)
    #expect(table.measure(ids).bytes == "the <UNK> x▁y a\n".utf8.count)
  }

  /// The file is a model of the type word to SentencePiece, too.
  @Test func theLibraryHasTheSameIDs() throws {
    let model = try Self.model.get()
    let lines =
      Samples.lines(300, seed: 5) + [
        "the <UNK> a", "kings the naïve …", "longer-than-sixteen-bytes",
      ]
    for line in lines.map({ Array($0.utf8) }) {
      let library = try line.withUnsafeBufferPointer { try model.encodeWithLibrary($0) }
      // It takes unknown words in a row for one.
      let ids = try model.encode(line)
      let expected = ids.indices.filter { $0 == 0 || ids[$0] != 0 || ids[$0 - 1] != 0 }.map {
        ids[$0]
      }
      #expect(library == expected)
    }
    #expect(try model.decodeWithLibrary([3, 5]) == Array("the a".utf8))
  }

  @Test func otherWordModelsAreRefused() throws {
    let good = try Self.model.get().serialized
    for extra in [
      WireFormat.piece("part", score: 0), WireFormat.piece("▁the", score: 0),
      WireFormat.piece("▁two words", score: 0),
    ] {
      #expect(throws: TokenizerError.self) { try SentencePieceModel(serialized: good + extra) }
    }
  }

  @Test func tokenizerOfOtherProgramsHasEveryWord() throws {
    let model = try Self.model.get()
    #expect(HuggingFaceTokenizer.obstacle(model) == nil)
    let file = try #require(HuggingFaceTokenizer.files(of: model)["tokenizer.json"])
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(file)) as? [String: Any])
    let inner = try #require(json["model"] as? [String: Any])
    let vocabulary = try #require(inner["vocab"] as? [String: Int])
    #expect(vocabulary["<UNK>"] == 0 && vocabulary["<s>"] == 1 && vocabulary["</s>"] == 2)
    for (index, word) in Self.words.enumerated() { #expect(vocabulary[word] == index + 3) }
    #expect(vocabulary.count == 10 && inner["unk_token"] as? String == "<UNK>")
  }

  private func builder(_ folder: TemporaryFolder, threads: Int, output: String) throws
    -> DataSetBuilder
  {
    var builder = DataSetBuilder(
      corpus: try Corpus.plain(
        train: [folder.path + "/train"], valid: [folder.path + "/valid"]),
      output: folder.path + "/" + output, tokenizer: .words)
    builder.vocabulary = try WordList(path: folder.path + "/words.txt")
    builder.threads = threads
    return builder
  }

  @Test func dataSetsHaveTheMostFrequentWordFirst() throws {
    let folder = try TemporaryFolder()
    // Blocks are 1 MiB: several of them, and another order in the text for validation.
    let lines = Samples.lines(1_500, seed: 21)
    try folder.write(
      String(repeating: lines.joined(separator: "\n") + "\n\n  two  spaces \n", count: 25),
      to: "train")
    try folder.write(String(repeating: "rare ", count: 5_000) + "\n", to: "valid")
    var counts: [String: Int] = [:]
    for word in lines.joined(separator: " ").split(separator: " ") {
      counts[String(word), default: 0] += 1
    }
    let listed =
      counts.filter { $0.value >= 3 }.map(\.key).sorted() + ["rare", "<S>", "</S>", "<UNK>"]
    try folder.write(listed.joined(separator: "\n"), to: "words.txt")
    var results: [[String: [UInt8]]] = []
    for threads in [1, 3] {
      let manifest = try builder(folder, threads: threads, output: "out\(threads)").build()
      #expect(manifest.tokenizer.modelType == "word")
      #expect(manifest.tokenizer.vocabularySize == listed.count)
      let totals = manifest.totals(of: "train")
      #expect(totals.tokens == totals.words)
      results.append(try folder.contents(of: "out\(threads)"))
    }
    #expect(results[0] == results[1])

    let data = try DataSet(directory: folder.path + "/out1")
    try data.verify()
    let model = try SentencePieceModel(path: data.tokenizerPath)
    let words = (3..<Int32(model.vocabularySize)).map {
      String(decoding: model.piece($0).dropFirst(3), as: UTF8.self)
    }
    #expect(words.last == "rare")
    let frequencies = words.map { counts[$0] ?? 0 }
    #expect(zip(frequencies, frequencies.dropFirst()).allSatisfy { $0 >= $1 })
    let found = try data.tokenCounts(of: "train")
    #expect(found[0] == data.manifest.totals(of: "train").unknownWords)
    for (index, word) in words.enumerated() {
      #expect(found[index + 3] == 25 * (counts[word] ?? 0), "\(word)")
    }
    // The same tokenizer for more text, with the list that says what is unknown.
    var more = try builder(folder, threads: 1, output: "more")
    more.tokenizer = .file(data.tokenizerPath)
    #expect(try more.build().tokenizer == data.manifest.tokenizer)
    more.vocabulary = nil
    more.output = folder.path + "/without"
    #expect(throws: TokenizerError.self) { try more.build() }
  }

  /// A word that only the list has would be counted as known and be `<UNK>` all the same.
  @Test func aTokenizerOfWordsTakesItsOwnListAlone() throws {
    let folder = try TemporaryFolder()
    try folder.write("a b a c d\n", to: "train")
    try folder.write("b d\n", to: "valid")
    try folder.write("b\na\n<UNK>\n", to: "words.txt")
    _ = try builder(folder, threads: 1, output: "out").build()
    let model = folder.path + "/out/tokenizer.model"
    for (name, words, part) in [
      ("larger", "a\nb\nc\nd\n", "2 more and lacks 0 of these 2"),
      ("smaller", "a\n", "0 more and lacks 1 of these 2"),
      ("other", "a\nc\n", "1 more and lacks 1 of these 2"),
    ] {
      let path = try folder.write(words, to: "\(name).txt")
      for tokenizer in [
        DataSetBuilder.Tokenizer.file(model), .serialized(try Files.contents(of: model)),
      ] {
        var other = try builder(folder, threads: 1, output: name)
        other.tokenizer = tokenizer
        other.vocabulary = try WordList(path: path)
        let error = #expect(throws: TokenizerError.self, "\(name)") { try other.build() }
        #expect(
          error?.description.contains("\(path) is another one, which has \(part)") == true,
          "\(error)")
      }
    }
    // The same words in another order and with counts are its own list.
    let same = try folder.write("a 3\nb 1\n", to: "same.txt")
    var more = try builder(folder, threads: 1, output: "more")
    more.tokenizer = .file(model)
    more.vocabulary = try WordList(path: same)
    #expect(try more.build().totals(of: "train").unknownWords == 2)
  }

  /// A manifest that counts other unknown words than there are tokens `<UNK>`.
  @Test func falseCountsOfUnknownWordsDoNotVerify() throws {
    let folder = try TemporaryFolder()
    try folder.write("a b a c d\n", to: "train")
    try folder.write("b d\n", to: "valid")
    try folder.write("b\na\n", to: "words.txt")
    var manifest = try builder(folder, threads: 1, output: "out").build()
    try DataSet(directory: folder.path + "/out").verify()
    #expect(manifest.splits["train"]?[0].unknownWords == 2)
    manifest.splits["train"]?[0].unknownWords = 1
    try manifest.write(to: folder.path + "/out")
    let error = #expect(throws: ShardError.self) {
      try DataSet(directory: folder.path + "/out").verify()
    }
    #expect(error?.description.contains("the number of its <UNK> should be 1 but is 2") == true)
  }

  @Test func wordsNeedAListAndTrainingText() throws {
    let folder = try TemporaryFolder()
    try folder.write("a b\n", to: "train")
    try folder.write("a b\n", to: "valid")
    try folder.write("a\n", to: "words.txt")
    var without = try builder(folder, threads: 1, output: "out")
    without.vocabulary = nil
    #expect(throws: TokenizerError.self) { try without.build() }
    var untrained = try builder(folder, threads: 1, output: "out")
    untrained.corpus = try Corpus.plain(train: [], test: [folder.path + "/valid"])
    #expect(throws: TokenizerError.self) { try untrained.build() }
  }

  /// Ids past 65,535 take four bytes each.
  @Test func largeListsHaveWideIDs() throws {
    let folder = try TemporaryFolder()
    let words = (0..<70_000).map { "w\($0)" }
    try folder.write(words.joined(separator: "\n"), to: "words.txt")
    try folder.write(words.reversed().joined(separator: " ") + " other\n", to: "train")
    try folder.write("w1\n", to: "valid")
    let manifest = try builder(folder, threads: 2, output: "out").build()
    #expect(manifest.idBytes == 4 && manifest.tokenizer.vocabularySize == 70_003)
    let data = try DataSet(directory: folder.path + "/out")
    try data.verify()
    let shard = try #require(try data.split("train").first)
    let ids = try data.reader(for: shard).decodeAll()
    #expect(ids.count == 70_002 && ids.max() == 70_002 && ids.suffix(2) == [0, 2])
    #expect(Set(ids).count == 70_002)
  }
}
