import Foundation
package import LMData

/// The surprisal of one word of a sentence, or of its `</s>`.
///
/// The tokens of a word with the space in front of it have the probability that this text comes next and
/// perhaps goes on: `▁king` is also the beginning of `kingdom`. The word itself is over where the next
/// token begins another or ends the sentence. With B(t) the probability of any such token before word t,
///
///     p(word t) = p(tokens of t) · B(t + 1) / B(t),
///
/// where B of the first word is 1: nothing stands before it. `</s>` is a word without an end of its own.
/// The factors of neighbours cancel, so that the words of a sentence add up to its nats either way.
///
/// Source: Pimentel and Meister, How to compute the probability of a word (2024), arXiv 2406.14561,
/// theorem 2; Oh and Schuler, Leading whitespaces of language models' subword vocabulary pose a confound
/// for calculating word probabilities (2024), arXiv 2406.10851.
package struct WordSurprisal: Sendable {
  /// Its bytes, without white space; those of `</s>` for the end.
  package let text: [UInt8]
  /// Its tokens among the targets of the sentence, white space in front included.
  package let tokens: Range<Int>
  /// -ln p of its tokens alone.
  package let naiveNats: Double
  /// -ln p of the word, its end included.
  package let nats: Double

  /// The mark of the end of a sentence.
  package static let end = Array("</s>".utf8)

  /// The words of a sentence and, last, its `</s>`.
  ///
  /// - Parameters:
  ///   - score: Scored with `starts`.
  ///   - tokens: Spells the ids.
  ///   - starts: The tokens before which a word is over.
  package static func words(
    of score: SequenceScore, tokens: TokenTable, starts: WordStarts
  ) -> [WordSurprisal] {
    precondition(score.startNats.count == score.targets.count, "a sentence without its word starts")
    let groups = groups(score.targets, tokens, starts)
    return groups.indices.map { index in
      let group = groups[index]
      let naive = score.nllNats[group].reduce(0) { $0 + Double($1) }
      let before = index == 0 ? 0 : score.startNats[group.lowerBound]
      let after = index + 1 == groups.count ? 0 : score.startNats[group.upperBound]
      let bytes = score.targets[group].flatMap { tokens[$0] }.filter { !Words.isSpace($0) }
      return WordSurprisal(
        text: index + 1 == groups.count ? end : bytes, tokens: group, naiveNats: naive,
        nats: naive + after - before)
    }
  }

  /// The tokens of every word; white space in front belongs to it.
  private static func groups(
    _ targets: [Int32], _ tokens: TokenTable, _ starts: WordStarts
  ) -> [Range<Int>] {
    var groups: [Range<Int>] = []
    var first = 0
    var isInside = false
    for (place, id) in targets.enumerated() {
      if isInside && starts[id] {
        groups.append(first..<place)
        first = place
        isInside = false
      }
      isInside = isInside || tokens[id].contains { !Words.isSpace($0) }
    }
    return groups + [first..<targets.count]
  }
}
