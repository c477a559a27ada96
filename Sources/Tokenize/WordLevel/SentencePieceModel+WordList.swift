extension SentencePieceModel {
  /// The words that a model of whole words knows, as a list; nil of other models.
  package func wordList() -> WordList? {
    guard modelType == .word else { return nil }
    var contents: [UInt8] = []
    for id in 0..<Int32(vocabularySize) where kind(id) == .text {
      contents += piece(id).dropFirst(WordMarker.bytes.count) + [0x0A]
    }
    return try? WordList(contents: contents, path: "the words of the tokenizer")
  }
}
