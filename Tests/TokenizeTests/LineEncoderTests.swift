import LMData
import Testing
import Tokenize

@Suite struct LineEncoderTests {
  /// Checks a line: exact round trip by both decoders, and the library's own ids.
  private func check(
    _ line: String, _ encoder: LineEncoder, _ model: SentencePieceModel, _ table: TokenTable,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    let bytes = Array(line.utf8)
    let ids = try encoder.encode(bytes)
    #expect(table.decode(ids) == bytes, "\(line.prefix(80))", sourceLocation: sourceLocation)
    #expect(try model.encode(bytes) == ids, "\(line.prefix(80))", sourceLocation: sourceLocation)
    #expect(!ids.contains(model.special.unk), sourceLocation: sourceLocation)
    if !line.unicodeScalars.contains("▁") {
      let library = try bytes.withUnsafeBufferPointer { try model.encodeWithLibrary($0) }
      #expect(library == ids, "\(line.prefix(80))", sourceLocation: sourceLocation)
    }
  }

  @Test(arguments: ModelType.allCases)
  func awkwardLinesAreTheLibrarysAndRoundTrip(_ type: ModelType) throws {
    let model = try Samples.model(type)
    let table = model.tokenTable()
    let encoder = LineEncoder(model: model)
    // Twice: the second time from the table of words.
    for line in Samples.awkward + Samples.awkward { try check(line, encoder, model, table) }
  }

  @Test(arguments: ModelType.allCases)
  func theLibrarysDecoderAgrees(_ type: ModelType) throws {
    let model = try Samples.model(type)
    let encoder = LineEncoder(model: model)
    for line in ["the▁con ▁ a", "naïve 👩‍👩‍👧‍👦 tab\tbed", "</s> <0xE2>", "a  b"] {
      let ids = try encoder.encode(Array(line.utf8))
      #expect(try model.decodeWithLibrary(ids) == Array(line.utf8))
    }
  }

  @Test(arguments: ModelType.allCases)
  func generatedLinesAreTheLibrarys(_ type: ModelType) throws {
    let model = try Samples.model(type)
    let table = model.tokenTable()
    let encoder = LineEncoder(model: model)
    for line in Samples.lines(3000, seed: 99) { try check(line, encoder, model, table) }
  }

  /// In lines of thousands of words the library's sums are coarse, and close calls turn out
  /// differently from those of the bare word.
  @Test(arguments: ModelType.allCases)
  func longLinesAreTheLibrarys(_ type: ModelType) throws {
    let model = try Samples.model(type)
    let table = model.tokenTable()
    let encoder = LineEncoder(model: model)
    var generator = Samples.Generator(3)
    for _ in 0..<3 {
      try check(Samples.line(words: 4_000, using: &generator), encoder, model, table)
    }
    let letters = Array("aothékr nisedü")
    for _ in 0..<8 {
      let noise = (0..<8_000).map { _ in letters[Int.random(in: 0..<14, using: &generator)] }
      try check(String(noise), encoder, model, table)
    }
  }

  /// Two ways to spell a word whose scores differ by less than a rounding error: which one the
  /// library takes depends on what stands before the word.
  @Test func closeCallsAreSettledAsTheLibraryDoes() throws {
    let base = try Samples.model(.unigram)
    let pieces =
      WireFormat.piece("Q", score: -5.1) + WireFormat.piece("W", score: -5.2)
      + WireFormat.piece("QW", score: -10.3)
    let model = try SentencePieceModel(serialized: base.serialized + pieces)
    let table = model.tokenTable()
    let encoder = LineEncoder(model: model)
    let whole = Int32(base.vocabularySize + 2)
    var generator = Samples.Generator(8)
    var asOne = 0
    var asTwo = 0
    for words in 0..<300 {
      let line = Samples.line(words: words % 60, using: &generator) + " QW QW aQWa"
      try check(line, encoder, model, table)
      let count = try encoder.encode(Array(line.utf8)).count { $0 == whole }
      asOne += count
      asTwo += 3 - count
    }
    #expect(asOne > 50 && asTwo > 50, "\(asOne) and \(asTwo): no close call")
  }

  @Test(arguments: ModelType.allCases)
  func randomBytesOfManyScriptsRoundTrip(_ type: ModelType) throws {
    let model = try Samples.model(type)
    let table = model.tokenTable()
    let encoder = LineEncoder(model: model, cacheSlots: 64)
    var generator = Samples.Generator(5)
    for _ in 0..<1500 {
      var line = String.UnicodeScalarView()
      for _ in 0..<Int.random(in: 0..<40, using: &generator) {
        let ranges: [ClosedRange<UInt32>] = [
          0...0x7F, 0x20...0x24, 0x61...0x70, 0x80...0x7FF, 0x2580...0x2582, 0x800...0xD7FF,
          0xE000...0x10FFFF,
        ]
        let range = ranges.randomElement(using: &generator) ?? 0...0x7F
        let code = UInt32.random(in: range, using: &generator)
        if code != 0x0A, let scalar = Unicode.Scalar(code) { line.append(scalar) }
      }
      try check(String(line), encoder, model, table)
    }
  }

  @Test(arguments: ModelType.allCases)
  func aSmallTableForgetsAndStaysRight(_ type: ModelType) throws {
    let model = try Samples.model(type)
    let table = model.tokenTable()
    let encoder = LineEncoder(model: model, cacheSlots: 16)
    for line in Samples.lines(1000, seed: 4) { try check(line, encoder, model, table) }
  }

  /// Words that one encoder finds reach the tables of the other, also where they have no place.
  @Test(arguments: ModelType.allCases, [16, 256])
  func wordsOfOtherEncodersAreRight(_ type: ModelType, slots: Int) throws {
    let model = try Samples.model(type)
    let table = model.tokenTable()
    let exchange = WordExchange()
    let encoders = (0..<3).map { _ in
      LineEncoder(model: model, cacheSlots: slots, exchange: exchange)
    }
    let long = Samples.lines(60, seed: 9).map { String($0.map { $0 == " " ? "-" : $0 }) }
    for (index, line) in (Samples.lines(300, seed: 8) + long).enumerated() {
      try check(line, encoders[index % 3], model, table)
      try check(line, encoders[(index + 1) % 3], model, table)
    }
  }

  /// The library merges through a piece that is unused, and takes it apart where it is left.
  @Test(arguments: ModelType.allCases)
  func unusedPiecesAreTheLibrarys(_ type: ModelType) throws {
    let base = try Samples.model(type)
    let pieces =
      WireFormat.piece("qx", score: -0.1, type: 5) + WireFormat.piece("qxj", score: -0.2)
      + ["q", "x", "j"].filter { letter in
        !(0..<Int32(base.vocabularySize)).contains { base.piece($0) == Array(letter.utf8) }
      }.flatMap { WireFormat.piece($0, score: -9) }
    let model = try SentencePieceModel(serialized: base.serialized + pieces)
    let encoder = LineEncoder(model: model)
    for line in ["qxj", "qx", "aqxjb qxq jqx"] {
      try check(line, encoder, model, model.tokenTable())
    }
  }

  @Test func aModelWithPiecesAcrossSpacesIsServedLineByLine() throws {
    let base = try Samples.model(.unigram)
    let across = WireFormat.piece("▁the▁con", score: -1)
    let model = try SentencePieceModel(serialized: base.serialized + across)
    #expect(!model.wordsAreIndependent)
    #expect(base.wordsAreIndependent)
    let encoder = LineEncoder(model: model)
    let table = model.tokenTable()
    for line in ["the con the con", "a the con", "the▁con"] + Samples.awkward {
      try check(line, encoder, model, table)
    }
    #expect(try encoder.encode(Array("the con".utf8)) == [Int32(base.vocabularySize)])
  }

  @Test func aModelWithUserSymbolsIsServedLineByLine() throws {
    let base = try Samples.model(.bpe)
    let symbol = WireFormat.piece("@@", score: 0, type: 4)
    let model = try SentencePieceModel(serialized: base.serialized + symbol)
    #expect(!model.wordsAreIndependent)
    let encoder = LineEncoder(model: model)
    for line in ["a@@b the @@", "@@"] { try check(line, encoder, model, model.tokenTable()) }
  }

  @Test(
    arguments: [
      [0xFF], [0x61, 0x80], [0xC0, 0x80], [0xE0, 0x80, 0x80], [0xED, 0xA0, 0x80], [0xF5, 0x80],
      [0xF0, 0x80, 0x80, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC3], [0x61, 0x20, 0xE2, 0x96],
    ] as [[UInt8]])
  func bytesThatAreNoUTF8AreRefused(_ bytes: [UInt8]) throws {
    for type in ModelType.allCases {
      let encoder = LineEncoder(model: try Samples.model(type))
      #expect(throws: TokenizerError.invalidUTF8(path: "here", line: 1)) {
        try encoder.encode(bytes, name: "here")
      }
    }
  }
}
