import Foundation
import LMData
import Storage
import TestSupport
import Testing
import Tokenize

/// Lists of words, texts with the other words replaced, and the ids of such texts.
@Suite struct WordListTests {
  private func list(_ text: String) throws -> WordList {
    try WordList(contents: Array(text.utf8), path: "words.txt")
  }

  private struct Mapped: Equatable {
    var text: String
    var unknown: Int

    init(_ text: String, _ unknown: Int) {
      self.text = text
      self.unknown = unknown
    }
  }

  private func mapped(_ line: String, _ list: WordList) -> Mapped {
    let (text, unknown) = list.mapping(Array(line.utf8))
    return Mapped(String(decoding: text, as: UTF8.self), unknown)
  }

  // MARK: The file

  @Test func wordsComeWithOrWithoutCounts() throws {
    // As the file of the literature: markers among the words, in no order.
    let plain = try list("the\n<S>\n</S>\n<UNK>\nof\né\nthe\n")
    let counted = try list("<UNK>\t9\r\nthe 12\nof\t7\n\n  é   3  ")
    for list in [plain, counted] {
      #expect(list.count == 3)
      for word in ["the", "of", "é"] { #expect(list.contains(Array(word.utf8))) }
      for word in ["<UNK>", "<S>", "th", "The", "thee", "12", ""] {
        #expect(!list.contains(Array(word.utf8)), "\(word)")
      }
    }
    #expect(plain.sha256 != counted.sha256)
    #expect(plain.sha256 == SHA256.hexDigest(of: plain.contents))
  }

  @Test func aNumberAloneIsAWord() throws {
    let list = try list("1996\n1997 4\n")
    #expect(list.contains(Array("1996".utf8)) && list.contains(Array("1997".utf8)))
    #expect(!list.contains(Array("4".utf8)))
  }

  @Test func whatIsNoListIsRefusedByLine() throws {
    #expect(throws: TokenizerError.self) { try list("") }
    #expect(throws: TokenizerError.self) { try list("<UNK>\n\n") }
    for text in ["a 1\nb two\n", "a 1\nthe king\n", "a 1\nb 1 2\n", "a\nb -1\n"] {
      do {
        _ = try list(text)
        Issue.record("\(text) was taken for a list")
      } catch {
        #expect("\(error)".contains("words.txt, line 2"), "\(error)")
      }
    }
    #expect(throws: TokenizerError.invalidUTF8(path: "words.txt", line: 2)) {
      try WordList(contents: [0x61, 0x0A, 0xFF, 0x0A], path: "words.txt")
    }
  }

  // MARK: Replacing words

  @Test func onlyWordsChange() throws {
    let list = try list("the\nking\n.\n")
    #expect(mapped("the king saw .", list) == Mapped("the king <UNK> .", 1))
    #expect(mapped("  saw\tthe \r", list) == Mapped("  <UNK>\tthe \r", 1))
    #expect(mapped("", list) == Mapped("", 0))
    #expect(mapped("a a a", list) == Mapped("<UNK> <UNK> <UNK>", 3))
    // A text with its words replaced stays as it is and has as many unknown words.
    for line in ["the king saw a <UNK>", "the x<UNK> <UNK>y <unk> <S>"] {
      let once = mapped(line, list)
      #expect(mapped(once.text, list) == once)
      #expect(once.unknown == line.split(separator: " ").count { !["the", "king"].contains($0) })
      #expect(Words.count(in: Array(once.text.utf8)) == Words.count(in: Array(line.utf8)))
      #expect(Words.countUnknown(in: Array(once.text.utf8)) == once.unknown)
    }
  }

  // MARK: Counting

  @Test func countsDoNotDependOnThreadsOrFiles() throws {
    let folder = try TemporaryFolder()
    let lines = Samples.lines(4_000, seed: 5)
    var expected: [String: Int] = ["<UNK>": 0]
    for line in lines {
      for word in line.split(separator: " ") { expected[String(word), default: 0] += 1 }
    }
    let whole = try folder.write(lines.joined(separator: "\n"), to: "whole")
    let parts = try [lines.prefix(1_500), lines.dropFirst(1_500)].enumerated().map {
      try folder.write($0.element.joined(separator: "\n") + "\n<UNK> <s>\n", to: "part\($0.offset)")
    }
    let one = try WordCounts.count(.plain(train: [whole]), minimum: 3, threads: 1)
    #expect(one == (try WordCounts.count(.plain(train: [whole]), minimum: 3, threads: 3)))
    #expect(one.kept.count == expected.values.count { $0 >= 3 })
    #expect(one.types == expected.count - 1)
    #expect(one.words == expected.values.reduce(0, +))
    for entry in one.kept {
      #expect(expected[String(decoding: entry.word, as: UTF8.self)] == entry.count)
    }
    #expect(zip(one.kept, one.kept.dropFirst()).allSatisfy { $0.count >= $1.count })
    // Markers of a text are no words of the list.
    let two = try WordCounts.count(.plain(train: parts), minimum: 3, threads: 2)
    #expect(two.kept == one.kept && two.words == one.words + 4)

    try one.write(to: folder.path + "/list")
    let list = try WordList(path: folder.path + "/list")
    #expect(list.count == one.kept.count)
    let unknown = lines.reduce(0) { $0 + mapped($1, list).unknown }
    #expect(unknown == one.words - one.covered)
  }

  // MARK: Ids

  private static let listed = Result { try made() }

  private static func made() throws -> (WordList, [ModelType: SentencePieceModel]) {
    let folder = try TemporaryFolder()
    let text = try folder.write(Samples.lines(2_000, seed: 7).joined(separator: "\n"), to: "text")
    let counts = try WordCounts.count(.plain(train: [text]), minimum: 4, threads: 1)
    try counts.write(to: folder.path + "/list")
    let list = try WordList(path: folder.path + "/list")
    var models: [ModelType: SentencePieceModel] = [:]
    for type in ModelType.allCases {
      var recipe = TokenizerRecipe(modelType: type, vocabularySize: 400)
      recipe.keepsUnknownWord = true
      models[type] = try TokenizerTrainer.train(
        recipe, sentences: Samples.lines(2_000, seed: 7).map { list.mapping(Array($0.utf8)).text })
    }
    return (list, models)
  }

  /// The word `<UNK>` is one piece, and every id is the library's own.
  @Test(arguments: ModelType.allCases)
  func idsOfMappedTextAreTheLibrarys(_ type: ModelType) throws {
    let (list, models) = try Self.listed.get()
    let model = try #require(models[type])
    let unknown = try #require(model.unknownWordID)
    #expect(model.wordsAreIndependent && model.vocabularySize == 400)
    let table = model.tokenTable()
    let encoder = LineEncoder(model: model)
    var generator = Samples.Generator(12)
    let long = list.mapping(Array(Samples.line(words: 5_000, using: &generator).utf8)).text
    let lines =
      Samples.lines(2_000, seed: 99).map { list.mapping(Array($0.utf8)).text } + [long]
      + (Samples.awkward + [
        "<UNK>", " <UNK>", "<UNK> ", "<UNK><UNK>", "<UNK>s <UNK>", "x<UNK>y", "the <UNK>\tthe",
        "<UN", "<UNK", "▁<UNK>", "<UNK>▁the", "<UNK> QW", String(repeating: "<UNK> ", count: 900),
        String(repeating: "<UNK>", count: 60),
      ]).map { Array($0.utf8) }
    for line in lines {
      let ids = try encoder.encode(line)
      let name = String(decoding: line.prefix(80), as: UTF8.self)
      #expect(table.decode(ids) == line, "\(name)")
      #expect(try model.encode(line) == ids, "\(name)")
      if !String(decoding: line, as: UTF8.self).unicodeScalars.contains("▁") {
        let library = try line.withUnsafeBufferPointer { try model.encodeWithLibrary($0) }
        #expect(library == ids, "\(name)")
        #expect(try model.decodeWithLibrary(ids) == line, "\(name)")
      }
    }
    let mapped = list.mapping(Array(Samples.lines(50, seed: 3).joined(separator: " ").utf8))
    #expect(mapped.unknownWords > 20)
    #expect(try encoder.encode(mapped.text).count { $0 == unknown } == mapped.unknownWords)
  }

  /// Close calls behind an unknown word, whose part in the sums the library alone knows.
  @Test func closeCallsBehindUnknownWords() throws {
    let base = try #require(try Self.listed.get().1[.unigram])
    let model = try SentencePieceModel(
      serialized: base.serialized + WireFormat.piece("Q", score: -5.1)
        + WireFormat.piece("W", score: -5.2) + WireFormat.piece("QW", score: -10.3))
    let encoder = LineEncoder(model: model)
    var generator = Samples.Generator(8)
    var asOne = 0
    for words in 0..<200 {
      let start = Samples.line(words: words % 40, using: &generator)
      let line = Array("\(start) QW <UNK> aQWa \(start) <UNK> QW <UNK>x QW".utf8)
      let ids = try encoder.encode(line)
      #expect(try line.withUnsafeBufferPointer { try model.encodeWithLibrary($0) } == ids)
      asOne += ids.count { $0 == Int32(base.vocabularySize + 2) }
    }
    #expect(asOne > 50 && asOne < 750, "\(asOne): no close call")
  }

  // MARK: Data sets

  @Test(arguments: [1, 3]) func dataSetsRecordTheirList(threads: Int) throws {
    let folder = try TemporaryFolder()
    let text = try folder.write(
      Samples.lines(3_000, seed: 21).joined(separator: "\n") + "\n", to: "text")
    let (list, _) = try Self.listed.get()
    let words = try folder.write(list.contents, to: "words.txt")
    var builder = DataSetBuilder(
      corpus: try .plain(train: [text]), output: folder.path + "/data",
      tokenizer: .train(TokenizerRecipe(modelType: .bpe, vocabularySize: 400), SampleLimits()))
    builder.vocabulary = try WordList(path: words)
    builder.rule = try SplitRule(valid: 0.1, test: 0.1, seed: 1)
    builder.threads = threads
    let manifest = try builder.build()
    let made = try #require(manifest.vocabulary)
    #expect(made == VocabularyInfo(sha256: list.sha256, words: list.count))

    let data = try DataSet(directory: folder.path + "/data")
    #expect(data.manifest == manifest)
    #expect(try Files.contents(of: data.directory + "/" + made.file) == list.contents)
    let model = try SentencePieceModel(path: data.tokenizerPath)
    let unknown = try #require(model.unknownWordID)
    let table = model.tokenTable()
    for split in ["train", "valid", "test"] {
      var source = try EvaluationSource(
        dataSet: data, split: split, mode: .sentences, budget: 5_000)
      var (pieces, inText) = (0, 0)
      while let batch = try source.nextBatch() {
        for index in 0..<batch.sequences {
          let ids = batch.targets(of: index).dropLast()
          pieces += ids.count { $0 == unknown }
          let text = table.decode(ids)
          inText += Words.countUnknown(in: text)
          #expect(list.mapping(text).text == text)
        }
      }
      #expect(pieces == inText && pieces == manifest.totals(of: split).unknownWords)
      #expect(pieces > 0)
    }
    // Another list beside the same shards is found out.
    try folder.write("the\n", to: "data/" + made.file)
    #expect(throws: DataSetError.self) { try DataSet(directory: data.directory) }
  }

  @Test func badUTF8IsNotHiddenBehindAnUnknownWord() throws {
    let folder = try TemporaryFolder()
    let text = try folder.write(Array("the\n".utf8) + [0xC3, 0x28, 0x0A], to: "text")
    var builder = DataSetBuilder(
      corpus: try .plain(train: [text]), output: folder.path + "/data",
      tokenizer: .file(try folder.write(try Samples.model(.bpe).serialized, to: "model")))
    builder.vocabulary = try list("the\n")
    #expect(throws: TokenizerError.invalidUTF8(path: text, line: 2)) { try builder.build() }
    let lines = try TextLines(
      path: text, encoder: LineEncoder(model: Samples.model(.bpe)), vocabulary: list("the\n"))
    #expect(throws: TokenizerError.invalidUTF8(path: text, line: 2)) { try lines.nextLine() }
  }

  @Test func linesKeepWhatTheyWere() throws {
    let folder = try TemporaryFolder()
    let text = try folder.write("the con\n\nnone of the\nlast", to: "text")
    let lines = try TextLines(
      path: text, encoder: LineEncoder(model: Samples.model(.bpe)),
      vocabulary: list("the\nof\n"))
    var read: [[String]] = []
    while let line = try lines.nextLine() {
      read.append([line.original, line.text].map { String(decoding: $0, as: UTF8.self) })
      #expect(try Samples.model(.bpe).encode(line.text) == line.ids && line.number == read.count)
    }
    #expect(
      read == [
        ["the con", "the <UNK>"], ["", ""], ["none of the", "<UNK> of the"], ["last", "<UNK>"],
      ])
  }

  /// A list is the same one, by its checksum too, whether it lies compressed or not.
  @Test func aCompressedListIsTheSame() throws {
    let folder = try TemporaryFolder()
    let text = Array("the\t3\nking\n<S>\nhis\n".utf8)
    let plain = try WordList(path: folder.write(text, to: "words.txt"))
    #expect(plain.count == 3)
    for (name, bytes) in [
      ("words.txt.zst", StoredArchives.zstd(text)), ("words.txt.gz", StoredArchives.gzip(text)),
      ("unnamed", StoredArchives.zstd(text)),
    ] {
      let list = try WordList(path: folder.write(bytes, to: name))
      #expect(list.count == 3 && list.sha256 == plain.sha256 && list.contents == text, "\(name)")
    }
    let cut = Array(StoredArchives.zstd(text).dropLast(3))
    let path = try folder.write(cut, to: "cut.zst")
    #expect(throws: TokenizerError.self) { try WordList(path: path) }
  }
}
