import Foundation
import LMData
import Synchronization
import TestSupport
import Testing
import Tokenize

/// Every byte of the text has its chance to become part of a piece.
@Suite struct TrainerTextTests {
  private func pieces(
    _ type: ModelType, _ lines: [String], size: Int = 400
  ) throws -> (model: SentencePieceModel, pieces: Set<String>) {
    let model = try TokenizerTrainer.train(
      TokenizerRecipe(modelType: type, vocabularySize: size),
      sentences: lines.map { Array($0.utf8) })
    let pieces = (0..<Int32(model.vocabularySize)).map {
      String(decoding: model.piece($0), as: UTF8.self)
    }
    return (model, Set(pieces))
  }

  /// The library passes over every line that holds `▅`, without a word.
  @Test(arguments: ModelType.allCases, ["▅", "▁", "\0", "\t", "\u{FFFD}", "\r"])
  func noCharacterTakesItsLineWithIt(_ type: ModelType, _ character: String) throws {
    let other = ["жук", "жар", "жаба", "рука", "жужа"]
    let lines = Samples.lines(400, seed: 3)
    let strange = (0..<400).map { number in
      (0..<6).map { other[(number + $0 * $0) % other.count] }.joined(separator: " ")
        + " ж\(character)а"
    }
    let (model, pieces) = try pieces(type, lines + strange)
    #expect(pieces.contains { $0.contains("ж") && $0.count > 1 })
    for reserved in ["▅", "а▁", "ж▁"] { #expect(!pieces.contains { $0.contains(reserved) }) }
    let encoder = LineEncoder(model: model)
    for line in strange.prefix(5) {
      #expect(model.tokenTable().decode(try encoder.encode(Array(line.utf8))) == Array(line.utf8))
    }
  }

  @Test(arguments: ModelType.allCases) func allOfALongLineIsSeen(_ type: ModelType) throws {
    let latin = String(repeating: "mum dad mud dam add ", count: 2_000)
    let cyrillic = String(repeating: "рука река рак арка кара ", count: 1_500)
    let unbroken = String(repeating: "日本日日語本日語", count: 800)
    // Nearly as many as there can be.
    let size = type == .unigram ? 290 : 300
    let (_, pieces) = try pieces(type, [latin + cyrillic + unbroken], size: size)
    #expect(pieces.contains { $0.contains("р") && $0.count > 1 })
    #expect(pieces.contains { $0.contains("日") && $0.count > 1 })
    #expect(!pieces.contains { $0.contains("\u{FFFD}") })
  }

  /// One text in lines and in one line has much the same pieces.
  @Test func aLongLineIsSampledAsItsWordsInLinesAre() throws {
    let folder = try TemporaryFolder()
    let words = Samples.lines(4_000, seed: 5).joined(separator: " ")
    try folder.write(words.split(separator: ".").joined(separator: ".\n"), to: "many")
    try folder.write(words + "\n", to: "one")
    var tokenizers: [Set<[UInt8]>] = []
    let notes = Mutex<[String]>([])
    for name in ["many", "one"] {
      var builder = DataSetBuilder(
        corpus: try Corpus.plain(train: [folder.path + "/" + name]),
        output: folder.path + "/out-" + name,
        tokenizer: .train(TokenizerRecipe(vocabularySize: 800), SampleLimits()))
      builder.threads = 2
      _ = try builder.build(report: { phase in
        if case .note(let note) = phase { notes.withLock { $0.append(name + ": " + note) } }
      })
      let model = try SentencePieceModel(path: folder.path + "/out-" + name + "/tokenizer.model")
      tokenizers.append(Set((0..<Int32(model.vocabularySize)).map { model.piece($0) }))
    }
    #expect(tokenizers[0].intersection(tokenizers[1]).count > 700)
    #expect(notes.withLock { $0.map { $0.prefix(12) } } == ["one: 1 line "])
  }

  /// Lines longer than the sample may be are drawn from, not left out.
  @Test func aLineBeyondTheLimitIsSampledInParts() throws {
    let folder = try TemporaryFolder()
    let words = Samples.lines(6_000, seed: 5).joined(separator: " ")
    try folder.write(words + "\n", to: "one")
    let notes = Mutex<[String]>([])
    let builder = DataSetBuilder(
      corpus: try Corpus.plain(train: [folder.path + "/one"]), output: folder.path + "/out",
      tokenizer: .train(TokenizerRecipe(vocabularySize: 400), SampleLimits(bytes: 100_000)))
    _ = try builder.build(report: { phase in
      if case .note(let note) = phase { notes.withLock { $0.append(note) } }
    })
    let found = notes.withLock { $0 }
    try #require(found.count == 2)
    #expect(found[1].contains(" of \(words.utf8.count) bytes"))
  }

  @Test func reasonsAreThoseOfThisProgram() throws {
    let ideographs = (0..<400).map { String(Unicode.Scalar(0x4E00 + UInt32($0))!) }
    let cases: [(lines: [String], size: Int)] = [
      (ideographs.map { "\($0) \($0)" }, 400), (["a"], 300), (["▅ ▅▅"], 300),
      (["\t", "\0"], 300), (["", " "], 300), (["a b"], 250),
    ]
    for (lines, size) in cases {
      for type in ModelType.allCases {
        #expect {
          try pieces(type, lines, size: size)
        } throws: { error in
          let text = "\(error)"
          return error is TokenizerError && !text.contains(".cc") && !text.contains("coverage")
            && !text.contains("[") && !text.contains("required_chars")
        }
      }
    }
    // What is asked for then is enough.
    #expect(
      throws: TokenizerError.vocabularyTooSmall(
        asked: 400,
        reason: "bytes, markers and the characters of the text alone are 660; give at least "
          + "--vocab-size 660")
    ) { try pieces(.bpe, ideographs.map { "\($0) \($0)" }) }
  }
}
