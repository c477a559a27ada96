import Foundation
import Testing

import Tokenize

/// `scripts/peers/check-interop.sh` opens the files with `transformers` itself.
@Suite struct HuggingFaceTokenizerTests {
  private static func json(_ model: SentencePieceModel, _ name: String) throws -> [String: Any] {
    let bytes = try #require(HuggingFaceTokenizer.files(of: model)[name])
    return try #require(JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
  }

  @Test(arguments: ModelType.allCases)
  func markersKeepTheirIDs(_ type: ModelType) throws {
    let model = try Samples.model(type)
    let tokenizer = try Self.json(model, HuggingFaceTokenizer.tokenizerName)
    let added = try #require(tokenizer["added_tokens"] as? [[String: Any]])
    #expect(added.compactMap { $0["content"] as? String } == ["<unk>", "<s>", "</s>"])
    #expect(added.compactMap { $0["id"] as? Int } == [0, 1, 2])
    let config = try Self.json(model, HuggingFaceTokenizer.configName)
    #expect(config["bos_token"] as? String == "<s>" && config["eos_token"] as? String == "</s>")
  }

  @Test func unigramPiecesKeepTheirScores() throws {
    let model = try Samples.model(.unigram)
    let tokenizer = try Self.json(model, HuggingFaceTokenizer.tokenizerName)
    let pieces = try #require((tokenizer["model"] as? [String: Any])?["vocab"] as? [[Any]])
    #expect(pieces.count == model.vocabularySize)
    for (id, pair) in pieces.enumerated() {
      #expect((pair[0] as? String).map { Array($0.utf8) } == model.piece(Int32(id)))
      #expect((pair[1] as? Double).map { Float($0) } == model.score(Int32(id)))
    }
  }

  /// Merging by the written list, pair after pair, gives SentencePiece's own ids.
  @Test func mergesGiveTheSameIDs() throws {
    let model = try Samples.model(.bpe)
    let tokenizer = try Self.json(model, HuggingFaceTokenizer.tokenizerName)
    let inner = try #require(tokenizer["model"] as? [String: Any])
    let ids = try #require(inner["vocab"] as? [String: Int])
    let merges = try #require(inner["merges"] as? [[String]])
    let ranks = Dictionary(uniqueKeysWithValues: merges.enumerated().map { ($1, $0) })
    for line in Samples.lines(200, seed: 3) {
      var symbols = ("▁" + line.replacing(" ", with: "▁")).unicodeScalars.map { String($0) }
      while let best = zip(symbols, symbols.dropFirst()).enumerated()
        .compactMap({ place, pair in ranks[[pair.0, pair.1]].map { ($0, place) } })
        .min(by: <)
      {
        symbols[best.1...best.1 + 1] = [symbols[best.1] + symbols[best.1 + 1]]
      }
      let found = symbols.map { ids[$0].map(Int32.init) }
      #expect(try found == model.encode(Array(line.utf8)).map { $0 }, "\(line)")
    }
  }

  /// What every tokenizer with a list of words has, and what trainers of others add.
  @Test(arguments: ModelType.allCases)
  func symbolsAndControlPiecesAreAdded(_ type: ModelType) throws {
    let extra =
      WireFormat.piece("▁<UNK>", score: 0, type: 4) + WireFormat.piece("<pad>", score: 0, type: 3)
    let model = try SentencePieceModel(serialized: Samples.model(type).serialized + extra)
    #expect(HuggingFaceTokenizer.obstacle(model) == nil)
    let tokenizer = try Self.json(model, HuggingFaceTokenizer.tokenizerName)
    let added = try #require(tokenizer["added_tokens"] as? [[String: Any]])
    #expect(
      added.compactMap { $0["content"] as? String } == ["<unk>", "<s>", "</s>", "<UNK>", "<pad>"])
    #expect(added.compactMap { $0["id"] as? Int } == [0, 1, 2, 400, 401])
    #expect(added.compactMap { $0["special"] as? Bool } == [true, true, true, false, true])
    #expect(added.compactMap { $0["normalized"] as? Bool } == [false, false, false, true, false])
    let config = try Self.json(model, HuggingFaceTokenizer.configName)
    #expect(config["pad_token"] as? String == "<pad>")
  }

  /// Where a unigram tokenizer would find a marker in the text, it is cut; not where a piece goes
  /// across.
  @Test func textIsCutInsideOfMarkers() throws {
    func pattern(_ extra: [UInt8]) throws -> String? {
      let model = try SentencePieceModel(serialized: Samples.model(.unigram).serialized + extra)
      let tokenizer = try Self.json(model, HuggingFaceTokenizer.tokenizerName)
      let pattern = (tokenizer["pre_tokenizer"] as? [String: Any])?["pattern"] as? [String: String]
      return pattern?["Regex"]
    }
    #expect(try pattern([]) == "<(?=s>|/s>|unk>|0x[0-9A-F]{2}>)")
    let own = WireFormat.piece("<|pad|>", score: 0, type: 3)
    #expect(try pattern(own) == #"<(?=s>|/s>|unk>|\|pad\|>|0x[0-9A-F]{2}>)"#)
    let crossing = WireFormat.piece("<s", score: -5) + WireFormat.piece("<0", score: -5)
    #expect(
      try pattern(crossing)
        == "(?<=<)s(?=>)|<(?=/s>|unk>)|(?<=<)0(?=x[0-9A-F]{2}>)")
  }

  /// `AutoTokenizer` would open the folder otherwise, with other ids.
  @Test func whatCannotBeExpressedIsRefusedThere() throws {
    let model = try Samples.model(.unigram)
    for piece in [
      WireFormat.piece("zz", score: 0, type: 4), WireFormat.piece("zz", score: 0, type: 5),
      WireFormat.piece("z", score: 0, type: 3),
      // Not always kept: its letters are worth more.
      WireFormat.piece("▁the", score: 0, type: 4),
    ] {
      guard let other = try? SentencePieceModel(serialized: model.serialized + piece) else {
        continue
      }
      #expect(HuggingFaceTokenizer.obstacle(other) != nil)
      let tokenizer = try Self.json(other, HuggingFaceTokenizer.tokenizerName)
      #expect(tokenizer["model"] == nil)
      #expect((tokenizer["version"] as? String)?.contains("tokenizer.model") == true)
    }
  }
}
