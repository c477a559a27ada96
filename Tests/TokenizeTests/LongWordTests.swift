import LMData
import Testing
import Tokenize

/// Words too long to hold all that is known of each byte have the library's own ids all the same.
@Suite struct LongWordTests {
  private func word(_ alphabet: String, _ count: Int, seed: UInt64) -> String {
    var generator = Samples.Generator(seed)
    let letters = Array(alphabet)
    return String(
      (0..<count).map { _ in letters[Int.random(in: letters.indices, using: &generator)] })
  }

  private var words: [String] {
    let syllables = Samples.lines(6_000, seed: 8).joined().filter { $0 != " " && $0 != "." }
    var words = [
      syllables, String(repeating: "a", count: 100_000), String(repeating: "the", count: 30_001),
      String(repeating: "日本", count: 9_000),
      word("aothékr nisedü".filter { $0 != " " }, 80_000, seed: 1),
      word("théx日👩", 30_000, seed: 2), word("ab", 50_000, seed: 3),
      word("then▁", 20_000, seed: 4), String(repeating: "the\t", count: 5_000),
      "<UNK>" + syllables.prefix(9_000), String(repeating: "<UNK>", count: 2_000),
    ]
    // Around the lengths at which another way is taken.
    for count in [255, 256, 257, 4_095, 4_096, 4_097, 32_765, 32_768, 65_536] {
      words.append(String(syllables.prefix(count)))
      words.append(word("theanigr", count, seed: UInt64(count)))
    }
    return words
  }

  private func check(_ line: String, _ model: SentencePieceModel, _ encoder: LineEncoder) throws {
    let bytes = Array(line.utf8)
    let ids = try encoder.encode(bytes)
    #expect(try model.encode(bytes) == ids, "\(line.count): \(line.prefix(40))")
    #expect(model.tokenTable().decode(ids) == bytes, "\(line.count): \(line.prefix(40))")
  }

  @Test(arguments: ModelType.allCases) func idsAreTheLibrarys(_ type: ModelType) throws {
    let model = try Samples.model(type)
    let encoder = LineEncoder(model: model)
    for word in words { try check(word, model, encoder) }
    // The sums that decide go on from word to word, and end with the line.
    try check(words.prefix(6).joined(separator: " "), model, encoder)
    try check("a " + words[4] + "  b " + words[0] + " ", model, encoder)
  }

  @Test(arguments: ModelType.allCases) func wordsOfAModelWithASymbolToo(_ type: ModelType) throws {
    var recipe = TokenizerRecipe(modelType: type, vocabularySize: 400)
    recipe.keepsUnknownWord = true
    let model = try TokenizerTrainer.train(
      recipe, sentences: Samples.lines(2_000, seed: 7).map { Array($0.utf8) })
    let encoder = LineEncoder(model: model)
    for word in words {
      try check(word, model, encoder)
      try check("the <UNK> an " + word, model, encoder)
    }
  }

  @Test(arguments: ModelType.allCases) func badBytesAreFound(_ type: ModelType) throws {
    let encoder = LineEncoder(model: try Samples.model(type))
    let good = Array(String(repeating: "the", count: 20_000).utf8)
    for place in [0, 300, 5_000, 59_999] {
      var bad = good
      bad[place] = 0xFF
      #expect(throws: TokenizerError.invalidUTF8(path: "the text", line: 1)) {
        try encoder.encode(bad)
      }
    }
  }
}
