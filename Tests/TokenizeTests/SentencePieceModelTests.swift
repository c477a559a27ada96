import LMData
import Storage
import TestSupport
import Testing
import Tokenize

@Suite struct SentencePieceModelTests {
  @Test(arguments: ModelType.allCases)
  func modelSaysWhatItIs(_ type: ModelType) throws {
    let model = try Samples.model(type)
    #expect(model.modelType == type)
    #expect(model.vocabularySize == 400)
    #expect(model.special == SpecialIDs(bos: 1, eos: 2, unk: 0))
    #expect(model.byteIDs.count == 256)
    #expect(Set(model.byteIDs).count == 256)
    #expect(model.piece(1) == Array("<s>".utf8))
    let table = model.tokenTable()
    #expect(table.count == 400)
    #expect(table[1].isEmpty && table[2].isEmpty)
    #expect(Array(table[model.byteIDs[0xE2]]) == [0xE2])
  }

  @Test(arguments: ModelType.allCases)
  func trainingRepeatsBitForBit(_ type: ModelType) throws {
    let first = try Samples.train(type, seed: 11)
    let second = try Samples.train(type, seed: 11)
    #expect(first.serialized == second.serialized)
  }

  @Test func modelLoadsFromAFile() throws {
    let folder = try TemporaryFolder()
    let model = try Samples.model(.bpe)
    let path = try folder.write(model.serialized, to: "tokenizer.model")
    let loaded = try SentencePieceModel(path: path)
    #expect(loaded.serialized == model.serialized)
    #expect(throws: TokenizerError.self) { try SentencePieceModel(path: path + ".missing") }
  }

  @Test func bytesThatAreNoModelAreRefused() throws {
    let model = try Samples.model(.bpe)
    let scores = [Float.nan, -.infinity, -1e30].map {
      model.serialized + WireFormat.piece("zz", score: $0)
    }
    // A protocol buffer of something else.
    let other = [WireFormat.field(7, 3), WireFormat.field(9, Array("graph".utf8))]
    for bytes in other {
      #expect {
        try SentencePieceModel(serialized: bytes)
      } throws: { "\($0)".contains("no piece for what is unknown") }
    }
    for bytes in [[], Array("no model at all".utf8), Array(model.serialized.dropLast(7))] + scores {
      #expect(throws: TokenizerError.self) { try SentencePieceModel(serialized: bytes) }
    }
  }

  /// What is read of a model here is compared with what the library reads, whenever one is loaded.
  @Test func namesAreReadAsTheLibraryReadsThem() throws {
    let base = try Samples.model(.bpe)
    let more = Int32(base.vocabularySize)
    func special(_ change: [UInt8]) throws -> SpecialIDs {
      try SentencePieceModel(serialized: base.serialized + change).special
    }
    let (begin, end) = (
      WireFormat.piece("[B]", score: 0, type: 3), WireFormat.piece("[E]", score: 0, type: 3)
    )
    #expect(
      try special(begin + end + WireFormat.trainer(46, "[B]") + WireFormat.trainer(47, "[E]"))
        == SpecialIDs(bos: more, eos: more + 1, unk: 0))
    #expect(
      try special(WireFormat.trainer(46, "[B]") + WireFormat.trainer(46, ""))
        == base.special)
    // No piece has the name: the only one of its kind is meant.
    #expect(try special(WireFormat.trainer(45, "[U]")) == base.special)
    #expect(throws: TokenizerError.self) { try special(WireFormat.trainer(46, "[B]")) }
  }

  /// A kind without a meaning leaves what was read before, and kinds have 32 bits.
  @Test(arguments: [[4, 99], [99, 4], [1, 1 << 32 + 4]])
  func kindsAreReadAsTheLibraryReadsThem(types: [Int]) throws {
    let base = try Samples.model(.bpe)
    let model = try SentencePieceModel(
      serialized: base.serialized + WireFormat.piece("@@", score: 0, types: types))
    #expect(!model.wordsAreIndependent)
    let line = Array("a@@b".utf8)
    #expect(try model.encode(line).contains(Int32(base.vocabularySize)))
    #expect(try LineEncoder(model: model).encode(line) == model.encode(line))
  }

  @Test(arguments: ModelType.allCases)
  func theLibraryMayLoadLater(_ type: ModelType) throws {
    let model = try Samples.model(type)
    let later = try SentencePieceModel(serialized: model.serialized, loadsLibrary: false)
    let encoder = LineEncoder(model: later)
    for line in Samples.lines(200, seed: 3) + Samples.awkward where !line.contains("\n") {
      #expect(try encoder.encode(Array(line.utf8)) == model.encode(Array(line.utf8)), "\(line)")
    }
    try later.loadLibrary()
  }

  /// The same piece twice, which only the library minds.
  private func modelTheLibraryRefuses() throws -> [UInt8] {
    let model = try Samples.model(.unigram)
    let twice = String(decoding: model.piece(300), as: UTF8.self)
    return model.serialized + WireFormat.piece(twice, score: -3)
  }

  @Test func whatTheLibraryRefusesIsRefusedWhenItLoads() throws {
    let serialized = try modelTheLibraryRefuses()
    #expect(throws: TokenizerError.self) { try SentencePieceModel(serialized: serialized) }
    let model = try SentencePieceModel(
      serialized: serialized, path: "twice.model", loadsLibrary: false)
    for _ in 0..<2 {
      #expect {
        try model.loadLibrary()
      } throws: { error in
        guard case .unreadableModel("twice.model", let reason) = error as? TokenizerError else {
          return false
        }
        return reason.contains("already defined")
      }
    }
  }

  @Test(arguments: [1, 2])
  func aDataSetOfSuchAModelDoesNotAppear(threads: Int) throws {
    let folder = try TemporaryFolder()
    let model = try folder.write(try modelTheLibraryRefuses(), to: "twice.model")
    let text = try folder.write(Samples.lines(300, seed: 1).joined(separator: "\n"), to: "a.txt")
    let output = folder.path + "/out"
    var builder = DataSetBuilder(
      corpus: try Corpus.plain(train: [text]), output: output, tokenizer: .file(model))
    builder.threads = threads
    #expect(throws: TokenizerError.self) { try builder.build() }
    #expect(!Files.exists(output))
  }

  @Test func modelsThatLoseTextAreRefused() throws {
    let model = try Samples.model(.unigram)
    #expect {
      try SentencePieceModel(
        serialized: model.serialized + WireFormat.normalizer(4, 1), path: "old.model")
    } throws: { error in
      guard case .lossyModel(let path, _) = error as? TokenizerError else { return false }
      return path == "old.model" && "\(error)".contains("cannot spell every text exactly")
    }
  }

  /// Such a model may well spell every text; that is not why it is refused.
  @Test func modelsOfOtherKindsAreRefusedForWhatTheyAre() throws {
    let model = try Samples.model(.unigram)
    for (change, option) in [
      (WireFormat.normalizer(3, 0), "add_dummy_prefix"),
      (WireFormat.normalizer(5, 0), "escape_whitespaces"),
      (WireFormat.trainer(24, 1), "treat_whitespace_as_suffix"),
      (WireFormat.trainer(3, 4), "unigram"),
    ] {
      #expect {
        try SentencePieceModel(serialized: model.serialized + change, path: "old.model")
      } throws: { error in
        guard case .unsupportedModel("old.model", let reason) = error as? TokenizerError else {
          return false
        }
        return reason.contains(option) && !"\(error)".contains("cannot spell")
      }
    }
  }

  @Test func aTextTooSmallForTheVocabularyIsAnErrorThatSaysHowMuchIsPossible() throws {
    for type in ModelType.allCases {
      let recipe = TokenizerRecipe(modelType: type, vocabularySize: 20_000)
      let sentences = Samples.lines(200, seed: 1).map { Array($0.utf8) }
      let error = #expect(throws: TokenizerError.self) {
        try TokenizerTrainer.train(recipe, sentences: sentences)
      }
      guard case .vocabularyTooLarge(20_000, let possible?) = error else {
        Issue.record("\(type): \(String(describing: error))")
        continue
      }
      #expect((260..<20_000).contains(possible))
      let smaller = TokenizerRecipe(modelType: type, vocabularySize: possible)
      #expect(
        try TokenizerTrainer.train(smaller, sentences: sentences).vocabularySize == possible)
    }
  }

  @Test func vocabulariesWithoutRoomAreRefused() throws {
    for size in [0, 259, 262] {
      #expect(throws: TokenizerError.self) {
        try TokenizerTrainer.train(
          TokenizerRecipe(modelType: .bpe, vocabularySize: size),
          sentences: Samples.lines(50, seed: 1).map { Array($0.utf8) })
      }
    }
    #expect(throws: TokenizerError.training(reason: "the text holds nothing but spaces")) {
      try TokenizerTrainer.train(TokenizerRecipe(), sentences: [[], [0x20]])
    }
  }
}
