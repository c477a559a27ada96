/// What words of a unigram model are made of, shared by all encoders.
final class UnigramPieces: Sendable {
  let trie: PieceTrie
  let scores: [Float]
  let byteIDs: [Int32]
  let unknownScore: Float
  /// Largest magnitude of the score of one piece; unknown characters have it.
  let largestScore: Float
  /// Bytes of the longest piece.
  let longestPiece: Int

  init(_ model: SentencePieceModel) {
    let textIDs = (0..<Int32(model.vocabularySize)).filter(model.isText)
    trie = PieceTrie(textIDs.map { ($0, model.piece($0), model.score($0)) })
    longestPiece = textIDs.map { model.piece($0).count }.max() ?? 0
    scores = (0..<Int32(model.vocabularySize)).map(model.score)
    byteIDs = model.byteIDs
    let textScores = textIDs.map(model.score)
    // As in the library: ten below the least probable piece.
    unknownScore = (textScores.min() ?? 0) - 10
    // The library takes `▁<UNK>`, where there is one, for its length times the best score or less.
    let symbolScore = Float(WordMarker.unknownWord.count) * (textScores.max() ?? 0).magnitude + 1
    largestScore = max(-unknownScore, textScores.map(\.magnitude).max() ?? 0, symbolScore)
  }
}
