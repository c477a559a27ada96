import LMData

/// Models whose tokens are the words of a list: no text but that of the list is spelled, every other word
/// is `<UNK>`, and a sentence has as many tokens as words and one `</s>`.
///
/// The file is one of SentencePiece's models of the type `word` (`sentencepiece_model.proto`), which its
/// library opens; here nothing of the library is called for it.
package enum WordLevelModel {
  /// Tokens before the first word: `<unk>`, which is `<UNK>`, `<s>` and `</s>`.
  package static let markers = 3

  /// The number that the file's format has for a model of words.
  static let typeNumber = 3

  /// The file of a model.
  ///
  /// - Parameter words: Each once, in the order of their ids: the most frequent first, so that what is
  ///   rare is a range of ids.
  package static func serialized(_ words: [[UInt8]]) -> [UInt8] {
    var model = ProtocolBufferWriter()
    model.append(ModelPiece(bytes: Array("<unk>".utf8), score: 0, kind: .unknown))
    model.append(ModelPiece(bytes: Array("<s>".utf8), score: 0, kind: .control))
    model.append(ModelPiece(bytes: Array("</s>".utf8), score: 0, kind: .control))
    for (rank, word) in words.enumerated() {
      model.append(
        ModelPiece(bytes: WordMarker.bytes + word, score: -Float(rank), kind: .text))
    }
    var trainer = ProtocolBufferWriter()
    trainer.append(3, typeNumber)
    trainer.append(4, words.count + markers)
    // What the library writes for a word that it does not know.
    trainer.append(44, [0x20] + Words.unknown)
    model.append(2, trainer.bytes)
    model.appendIdentityNormalizer()
    return model.bytes
  }

  /// The model of a list of words, ordered by how often they occur in the training text.
  ///
  /// - Parameters:
  ///   - list: The words.
  ///   - corpus: Its training text is counted.
  ///   - rule: Leaves out the lines that are not for training, if set.
  ///   - threads: The result does not depend on them.
  ///   - lineEnds: What ends a line.
  static func make(
    _ list: WordList, orderedBy corpus: Corpus, rule: SplitRule?, threads: Int, lineEnds: LineEnds,
    isCancelled: @escaping @Sendable () -> Bool,
    report: @escaping @Sendable (CorpusProgress) -> Void
  ) throws(TokenizerError) -> [UInt8] {
    let paths = corpus.files(of: "train").map(\.path)
    if paths.isEmpty {
      throw .options(
        "the words of a list are ordered by how often the training text has them, and there is none; "
          + "give --tokenizer FILE with the tokenizer.model of word-level data")
    }
    let task = ListCounting(list: list, paths: paths, rule: rule)
    try BlockPipeline(
      task: task, paths: paths, threads: threads, lineEnds: lineEnds, isCancelled: isCancelled,
      report: report
    ).run()
    return serialized(list.words(countedBy: task.counts))
  }
}

extension WordList {
  /// The words, the most frequent first, equals in order of their bytes.
  ///
  /// - Parameter counts: How often each occurs, by its place.
  func words(countedBy counts: [Int]) -> [[UInt8]] {
    entries().map { (word: $0.word, count: counts[$0.place]) }.sorted {
      $0.count != $1.count
        ? $0.count > $1.count : $0.word.lexicographicallyPrecedes($1.word)
    }.map(\.word)
  }
}
