import Foundation
import Testing

import Tokenize

/// `scripts/check-interop.sh` opens the files with `transformers` itself.
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

  @Test func userSymbolsAreNotClaimed() throws {
    let model = try Samples.model(.bpe)
    // One more piece, kept whole wherever it occurs.
    let symbol = WireFormat.piece("zz", score: 0, type: 4)
    let other = try SentencePieceModel(serialized: model.serialized + symbol)
    #expect(HuggingFaceTokenizer.files(of: other).isEmpty)
  }
}
