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
    let table = model.pieceTable()
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
    for bytes in [[], Array("no model at all".utf8), Array(model.serialized.dropLast(7))] {
      #expect(throws: TokenizerError.self) { try SentencePieceModel(serialized: bytes) }
    }
  }

  @Test func modelsThatLoseTextAreRefused() throws {
    let model = try Samples.model(.unigram)
    let changes = [
      WireFormat.normalizer(3, 0), WireFormat.normalizer(4, 1), WireFormat.normalizer(5, 0),
      WireFormat.trainer(24, 1), WireFormat.trainer(3, 4),
    ]
    for change in changes {
      #expect {
        try SentencePieceModel(serialized: model.serialized + change, path: "old.model")
      } throws: { error in
        guard case .lossyModel(let path, _) = error as? TokenizerError else { return false }
        return path == "old.model" && "\(error)".contains("cannot spell every text exactly")
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
    #expect(throws: TokenizerError.training(reason: "no sentence to train on")) {
      try TokenizerTrainer.train(TokenizerRecipe(), sentences: [[], [0x20]])
    }
  }
}
