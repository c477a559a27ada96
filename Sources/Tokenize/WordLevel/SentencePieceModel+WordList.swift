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

  /// Throws if this is a model of whole words and a list has not the same words, in whatever order.
  ///
  /// A word that only the list has would be counted as known and be `<UNK>` all the same.
  ///
  /// - Parameters:
  ///   - list: The words outside which others are to be unknown.
  ///   - path: Names the model.
  ///   - advice: What to do, a clause.
  package func requireOwnWords(
    _ list: WordList, path: String, advice: String
  ) throws(TokenizerError) {
    guard modelType == .word else { return }
    var (common, lacking) = (0, 0)
    for id in 0..<Int32(vocabularySize) where kind(id) == .text {
      if list.contains(Array(piece(id).dropFirst(WordMarker.bytes.count))) {
        common += 1
      } else {
        lacking += 1
      }
    }
    let added = list.count - common
    guard added == 0, lacking == 0 else {
      throw .options(
        "the tokens of \(path) are the words of a list, and \(list.path) is another one, which has "
          + "\(added) more and lacks \(lacking) of these \(common + lacking); \(advice)")
    }
  }
}
