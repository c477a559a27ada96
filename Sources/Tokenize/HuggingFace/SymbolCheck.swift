import LMData

/// Whether a unigram model keeps a user-defined symbol whole wherever it occurs.
///
/// libsentencepiece does not cut a text at such symbols: it gives each the score of its length in bytes
/// times the best score, less 0.1, or more, and takes the best path. Whoever cuts the text there has the
/// same ids only if no other path can win.
struct SymbolCheck {
  private let model: SentencePieceModel
  private let scores: [[UInt8]: Float]
  private let best: Float
  private let unknown: Float

  init(_ model: SentencePieceModel) {
    self.model = model
    let ids = model.ids { $0 == .text }
    scores = Dictionary(
      ids.map { (model.piece($0), model.score($0)) }, uniquingKeysWith: { first, _ in first })
    best = scores.values.max() ?? 0
    // As in the library: ten below the least probable piece.
    unknown = (scores.values.min() ?? 0) - 10
  }

  /// - Parameter id: A symbol that begins with `▁`.
  func isAlwaysKept(_ id: Int32) -> Bool {
    let symbol = model.piece(id)
    // The symbol's space begins a piece, as every space does, and no other symbol has it.
    let symbols = model.ids { $0 == .userSymbol }.map(model.piece)
    guard symbols.count(where: { $0.starts(with: symbol) || symbol.starts(with: $0) }) == 1,
      !(symbols + scores.keys).contains(where: Self.hasSpaceInside)
    else { return false }
    let score = Float(symbol.count) * min(best, 0) - 0.1
    let paths = bestPaths(symbol)
    if paths[symbol.count] >= score { return false }
    // A piece that begins inside and ends behind: the symbol and the rest of it must be worth more.
    for cut in 1..<symbol.count {
      let suffix = symbol[cut...]
      for (piece, pieceScore) in scores
      where piece.count > suffix.count && piece.starts(with: suffix) {
        let rest = bestPaths(Array(piece[suffix.count...])).last ?? 0
        if paths[cut] + pieceScore >= score + rest { return false }
      }
    }
    return true
  }

  private static func hasSpaceInside(_ piece: [UInt8]) -> Bool {
    String(decoding: piece, as: UTF8.self).unicodeScalars.dropFirst().contains("▁")
  }

  /// The best score of every beginning of a text by text pieces and unknown characters.
  private func bestPaths(_ text: [UInt8]) -> [Float] {
    var best = [Float](repeating: -.infinity, count: text.count + 1)
    best[0] = 0
    for end in 1..<text.count + 1 {
      for start in 0..<end where best[start] > -.infinity {
        let part = Array(text[start..<end])
        if let score = scores[part] {
          best[end] = max(best[end], best[start] + score)
        } else if String(validating: part, as: UTF8.self)?.unicodeScalars.count == 1 {
          best[end] = max(best[end], best[start] + unknown)
        }
      }
    }
    return best
  }
}
