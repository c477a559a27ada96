import Deterministic
import LMData
import Testing

@Suite struct BatchTests {
  private func makeBatch(_ lengths: [Int]) -> Batch {
    let sentences = makeSentences(lengths)
    var starts = [0]
    for sentence in sentences { starts.append(starts[starts.count - 1] + sentence.count + 1) }
    return Batch(
      ids: sentences.flatMap { [bos] + $0 }, targets: sentences.flatMap { $0 + [eos] },
      starts: starts)
  }

  @Test(arguments: [1, 2, 7, 10, 11, 50, 1000])
  func splitKeepsEverythingInOrder(maximum: Int) {
    for lengths in [[], [0], [9], [3, 0, 0, 9, 30, 1], makeLengths(50)] {
      let batch = makeBatch(lengths)
      let parts = batch.split(maximumPositions: maximum)
      #expect(parts.flatMap(\.ids) == batch.ids)
      #expect(parts.flatMap(\.targets) == batch.targets)
      #expect(parts.reduce(0) { $0 + $1.sequences } == batch.sequences)
      let inputs = parts.flatMap { part in (0..<part.sequences).map { Array(part.inputs(of: $0)) } }
      #expect(inputs == (0..<batch.sequences).map { Array(batch.inputs(of: $0)) })
      for part in parts {
        #expect(part.sequences > 0)
        #expect(part.positions <= maximum || part.sequences == 1)
      }
      // Greedy: no part could have taken the first sequence of the next one.
      for (part, following) in zip(parts, parts.dropFirst()) {
        #expect(part.positions + following.range(of: 0).count > maximum)
      }
    }
  }
}

@Suite struct TokenTableTests {
  // Ids: three control tokens, words, continuations, white space, and the two bytes of "é".
  private static let tokens: [[UInt8]] =
    [[], [], []] + [" the", " cat", "s", " ", "a b", "\t", "\n", "  x "].map { Array($0.utf8) }
    + [[0xC3], [0xA9]]
  private let table = TokenTable(tokens)

  @Test(arguments: [
    ([], "", 0), ([1, 2], "", 0), ([3], "the", 1), ([3, 4, 5], "the cats", 2),
    ([3, 5, 5, 7, 7], "thessa ba b", 3), ([6], "", 0), ([6, 3], " the", 1), ([5, 6, 5], "s s", 2),
    ([10, 10], " x   x ", 2), ([3, 8, 5, 9, 5], "the\ts\ns", 3), ([6, 11, 12, 2], "é", 1),
    ([3, 2, 5], "thes", 1), ([8, 8], "\t\t", 0),
  ])
  func decodesAndMeasures(ids: [Int32], text: String, words: Int) {
    #expect(String(decoding: table.decode(ids), as: UTF8.self) == text)
    let measured = table.measure(ids)
    #expect(measured.words == words)
    #expect(measured.bytes == text.utf8.count + 1)
  }

  @Test func measureAgreesWithTheDecodedText() {
    var random = Seeded(state: 3)
    for _ in 0..<500 {
      let count = Int.random(in: 0...12, using: &random)
      let ids = (0..<count).map { _ in
        Int32.random(in: 0..<Int32(Self.tokens.count), using: &random)
      }
      let text = table.decode(ids)
      let words = text.split { $0 == 0x20 || (0x09...0x0D).contains($0) }.count
      #expect(table.measure(ids) == (words, text.count + 1))
      #expect(table.measure(ids[...]) == (words, text.count + 1))
    }
    #expect(table.count == Self.tokens.count)
    #expect(Array(table[4]) == Array(" cat".utf8))
  }

  @Test func wordsAreRunsOfNoWhiteSpace() {
    for (text, words) in [("", 0), (" ", 0), ("a", 1), (" a  b\tc\u{B}d ", 4), ("a\u{A0}b", 1)] {
      #expect(Words.count(in: Array(text.utf8)) == words)
    }
  }

  /// The first numbers of the reference implementation, seeds 0 and 1,234,567.
  @Test func splitMixIsThePublishedOne() {
    #expect(SplitMix64.mix(0) == 0xE220_A839_7B1D_CDAF)
    #expect(SplitMix64.mix(1_234_567) == 6_457_827_717_110_365_317)
    #expect(SplitMix64.mix(1_234_567 &+ SplitMix64.increment) == 3_203_168_211_198_807_973)
  }
}
