/// One scored sentence.
package struct ScoredSentence: Sendable {
  package let score: SequenceScore
  package let text: [UInt8]
  package let words: Int
  /// Words scored as `<UNK>`.
  package let unknownWords: Int
  /// The file or split that it stands in.
  package let name: String
  /// Its number there, from 1.
  package let number: Int

  package init(
    score: SequenceScore, text: [UInt8], words: Int, unknownWords: Int = 0, name: String = "",
    number: Int = 1
  ) {
    self.name = name
    self.number = number
    self.score = score
    self.text = text
    self.words = words
    self.unknownWords = unknownWords
  }

  /// Tokens without `</s>`.
  package var tokens: Int { score.targets.count - 1 }
}
