import Tokenize

/// Text and models made on the spot, the same in every run.
enum Samples {
  /// SplitMix64.
  struct Generator: RandomNumberGenerator {
    var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }

  /// Made-up words of common syllables.
  static func word(using generator: inout Generator) -> String {
    let syllables = [
      "the", "an", "ing", "er", "re", "con", "ti", "on", "al", "is", "st", "or", "pre", "un", "ly",
      "ed", "é", "ma", "ness", "qu", "a", "o", "ü", "th", "k",
    ]
    let count = 1 + Int.random(in: 0..<4, using: &generator)
    return (0..<count).map { _ in
      // The square makes some syllables far more common than others.
      let draw = Double.random(in: 0..<1, using: &generator)
      return syllables[Int(draw * draw * Double(syllables.count))]
    }.joined()
  }

  static func line(words: Int, using generator: inout Generator) -> String {
    (0..<words).map { _ in word(using: &generator) }.joined(separator: " ")
  }

  static func lines(_ count: Int, seed: UInt64) -> [String] {
    var generator = Generator(seed)
    return (0..<count).map { _ in
      line(words: Int.random(in: 3..<20, using: &generator), using: &generator) + " ."
    }
  }

  private static let unigram = Result { () throws(TokenizerError) in try train(.unigram) }
  private static let bpe = Result { () throws(TokenizerError) in try train(.bpe) }

  /// A model of 400 pieces, trained once.
  static func model(_ type: ModelType) throws -> SentencePieceModel {
    try type == .unigram ? unigram.get() : bpe.get()
  }

  static func train(_ type: ModelType, seed: UInt64 = 7) throws(TokenizerError)
    -> SentencePieceModel
  {
    try TokenizerTrainer.train(
      TokenizerRecipe(modelType: type, vocabularySize: 400),
      sentences: lines(2000, seed: seed).map { Array($0.utf8) })
  }

  /// Lines that break tokenizers.
  static let awkward: [String] = [
    "", " ", "  ", "   ", "\t", "\r", "\0", "a", " a", "a ", "  a", "a  ", "a  b", " a  b  ",
    "the end.\r", "tab\tbed", "\t\ttabs first", "nul\0inside", "\u{1}\u{2}\u{7F}",
    "</s>", "<s>", "<unk>", "<0xE2>", "a </s> b", "<0xE2><0x96><0x81>", "\u{2047}", " \u{2047} ",
    "▁", "▁▁", "▁a", "a▁", "a▁b", " ▁ ", "the▁con", "▁the ▁the", "a ▁b▁ c", "\u{10FFFD}",
    "▁\u{10FFFD}", "\u{10FFFC}▁\u{10FFFD}", "▅", "\u{2585}\u{2581}\u{2585}",
    "日本語のテキスト", "e\u{301}galite\u{301}", "👩‍👩‍👧‍👦 family", "🇫🇷", "ﬁ ½ Å ﷺ", "\u{FEFF}mark",
    "\u{A0}no break\u{A0}", "\u{3000}wide\u{3000}", "\u{FFFD}", "\u{FFFF}", "\u{200D}", "é ü é",
    "x" + String(repeating: "the", count: 90), String(repeating: "zq", count: 400),
    String(repeating: " ", count: 300), String(repeating: "▁", count: 100),
    String(repeating: "the ", count: 200), String(repeating: "é", count: 33),
    "word16charslong!", "word15charslong", "word17characters!", "eightchr", "sevench", "ninechars",
  ]
}
