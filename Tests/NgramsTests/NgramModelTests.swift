import Foundation
import Ngrams
import Storage
import TestSupport
import Testing
import Tokenize

/// A trigram model by hand, and what its text must have by the rule of backing off.
@Suite struct NgramModelTests {
  private static let arpa = """
    written by hand
    \\data\\
    ngram 1=5
    ngram 2=3
    ngram 3=1

    \\1-grams:
    -1.5\t<unk>
    -99\t<s>\t-0.25
    -0.75\t</s>
    -0.5\tthe\t-0.125
    -1.25e0\tking\t-0.375

    \\2-grams:
    -0.1\t<s> the\t-0.0625
    -0.2\tthe king\t-0.5
    -0.3\tking </s>

    \\3-grams:
    -0.05\t<s> the king

    \\end\\

    """

  private func model(_ text: String, name: String = "m.arpa") throws -> NgramModel {
    let folder = try TemporaryFolder()
    return try ArpaReader.read(try folder.write(text, to: name))
  }

  private func log10s(_ model: NgramModel, _ sentence: String) -> [Float] {
    model.scores(sentence.split(separator: " ").map { Array($0.utf8) }).map(\.log10)
  }

  @Test func probabilitiesBackOff() throws {
    let model = try model(Self.arpa)
    #expect(model.order == 3 && model.counts == [5, 3, 1])
    // Trigram; then "the king </s>" is not there: backoff(the king) + p(</s> | king).
    let backedOff: Float = -0.5 + -0.3
    #expect(log10s(model, "the king") == [-0.1, -0.05, backedOff])
    // backoff(<s>) + p(king); backoff(<s> king) is none, backoff(king) + p(the); the rest by unigrams.
    let other = log10s(model, "king the")
    #expect(other == [-1.5, -0.875, -0.875] as [Float])
    // A word outside the vocabulary is <unk>, which has no backoff weight, and so is the mark itself.
    #expect(log10s(model, "zebra") == [-1.75, -0.75] as [Float])
    let unknown = model.scores([Array("zebra".utf8), Array("<UNK>".utf8), Array("</s>".utf8)])
    #expect(unknown.map(\.isKnown) == [false, true, false, true])
    #expect(log10s(model, "") == [-1.0] as [Float])
  }

  /// What follows a history has a probability of 1 together, as it is with the model that Kneser and Ney's
  /// discounts leave: here two words, whose backoff weights are computed.
  @Test func probabilitiesAddUp() throws {
    func log(_ value: Double) -> String { String(format: "%.7f", Foundation.log10(value)) }
    // p(a) = 0.5, p(b) = 0.3, p(</s>) = 0.15, p(<unk>) = 0.05; p(b | a) = 0.6, the rest by backoff.
    let backoff = (1 - 0.6) / (1 - 0.3)
    let model = try model(
      """
      \\data\\
      ngram 1=5
      ngram 2=1

      \\1-grams:
      \(log(0.05)) <unk> 0
      -99 <s> 0
      \(log(0.15)) </s>
      \(log(0.5)) a \(log(backoff))
      \(log(0.3)) b

      \\2-grams:
      \(log(0.6)) a b

      \\end\\
      """)
    let followers =
      ["a", "b", "zebra"].map { log10s(model, "a \($0)")[1] } + [log10s(model, "a")[1]]
    let sum = followers.reduce(0) { $0 + pow(10, Double($1)) }
    #expect(abs(sum - 1) < 1e-6, "\(sum)")
  }

  @Test func compressedFilesAndCapitalsAreTheSame() throws {
    let folder = try TemporaryFolder()
    let capitals = Self.arpa.replacing("<unk>", with: "<UNK>").replacing("<s>", with: "<S>")
      .replacing("</s>", with: "</S>").replacing("\n", with: "\r\n")
    let plain = try ArpaReader.read(try folder.write(Self.arpa, to: "m.arpa"))
    let other = try ArpaReader.read(try folder.write(capitals, to: "n.arpa"))
    let sentence = "the king saw the king"
    #expect(log10s(plain, sentence) == log10s(other, sentence))
    let gzip = try runProgram("", [], shell: "gzip -k \(folder.path)/m.arpa")
    #expect(gzip.status == 0)
    let zipped = try ArpaReader.read(folder.path + "/m.arpa.gz")
    #expect(log10s(plain, sentence) == log10s(zipped, sentence))
  }

  /// A name says nothing: a file of gzip or zstd is one by its first bytes.
  @Test func compressedFilesNeedNoEnding() throws {
    let folder = try TemporaryFolder()
    let plain = try ArpaReader.read(try folder.write(Self.arpa, to: "m.arpa"))
    let sentence = "the king saw the king"
    // A frame of Zstandard with one block, stored as it is.
    let bytes = Array(Self.arpa.utf8)
    let block = bytes.count << 3 | 1
    let frame =
      [0x28, 0xB5, 0x2F, 0xFD, 0x20, UInt8(bytes.count), UInt8(block & 0xFF), UInt8(block >> 8), 0]
      + bytes
    try Data(frame).write(to: URL(fileURLWithPath: folder.path + "/zstd.arpa"))
    let gzip = try runProgram("", [], shell: "cd \(folder.path) && gzip -c m.arpa > gzip.arpa")
    #expect(gzip.status == 0)
    for name in ["gzip.arpa", "zstd.arpa"] {
      let zipped = try ArpaReader.read(folder.path + "/" + name)
      #expect(log10s(plain, sentence) == log10s(zipped, sentence), "\(name)")
    }
  }

  @Test func aByteOrderMarkIsPassedOver() throws {
    let start = try #require(Self.arpa.range(of: "\\data\\")).lowerBound
    let text = String(Self.arpa[start...])
    let marked = try model("\u{FEFF}" + text)
    #expect(marked.counts == [5, 3, 1])
    #expect(log10s(marked, "the king") == log10s(try model(Self.arpa), "the king"))
    let folder = try TemporaryFolder()
    let path = folder.path + "/wide.arpa"
    for encoding in [String.Encoding.utf16, .utf16LittleEndian, .utf16BigEndian] {
      try #require(text.data(using: encoding)).write(to: URL(fileURLWithPath: path))
      let error = #expect(throws: TokenizerError.self) { try ArpaReader.read(path) }
      #expect(error?.description.contains("wide.arpa is UTF-16") == true, "\(encoding)")
    }
  }

  /// Without it every end of a sentence would have a probability of 1e-100, with no word about it.
  @Test func aModelWithoutEndsOfSentencesIsRefused() throws {
    let error = #expect(throws: ArpaError.self) {
      try model(Self.arpa.replacing("-0.75\t</s>", with: "-0.75\tqueen"))
    }
    #expect(error?.description.contains("m.arpa has no </s> among its words") == true)
  }

  /// Lines longer than a block, and many of them.
  @Test func longLinesAndManyAreRead() throws {
    let words =
      (0..<60_000).map { "word\($0)" } + [String(repeating: "x", count: 3_000_000), "</s>"]
    let lines = words.enumerated().map { "-\($0.offset % 7).\($0.offset % 1_000)\t\($0.element)" }
    let model = try model(
      "\\data\\\nngram 1=\(words.count)\n\n\\1-grams:\n" + lines.joined(separator: "\n")
        + "\n\n\\end\\\n")
    for index in [0, 1, 31_234, 59_999, 60_000] {
      let expected = Float("-\(index % 7).\(index % 1_000)")
      #expect(model.scores([Array(words[index].utf8)])[0].log10 == expected, "\(index)")
    }
  }

  /// As lmplz writes a text in which words outside a list are `<UNK>`.
  @Test func bothMarksOfUnknownWordsAreOneWordWithTheLaterFigures() throws {
    let both = try model(
      Self.arpa.replacing("ngram 1=5", with: "ngram 1=6")
        .replacing("-0.5\tthe", with: "-0.625\t<UNK>\t-0.125\n-0.5\tthe")
        .replacing("-0.3\tking </s>", with: "-0.3\t<UNK> </s>"))
    let scores = both.scores([Array("<UNK>".utf8)])
    // Backing off from <s>, then the bigram.
    #expect(scores.map(\.log10) == [-0.625 - 0.25, -0.3])
    #expect(both.scores([Array("nowhere".utf8)])[0].log10 == -0.625 - 0.25)
    #expect(both.scores([Array("nowhere".utf8)])[0].isKnown == false && scores[0].isKnown)
    #expect(throws: ArpaError.self) {
      try model(
        Self.arpa.replacing("ngram 1=5", with: "ngram 1=7")
          .replacing("-0.5\tthe", with: "-1\t<UNK>\n-1\t<UNK>\n-0.5\tthe"))
    }
  }

  @Test func whatIsNoModelIsOneSentence() throws {
    for (text, part) in [
      ("", "ends before \\data\\"), ("hello\n", "ends before \\data\\"),
      ("\\data\\\n\\1-grams:\n", "line 2: expected ngram 1= and a number"),
      (
        Self.arpa.replacing("ngram 2=3", with: "ngram 2=x"),
        "line 4: expected ngram 2= and a number"
      ),
      (Self.arpa.replacing("ngram 2=3", with: "ngram 2=4"), "expected a probability and 2 words"),
      (Self.arpa.replacing("ngram 2=3", with: "ngram 2=2"), "expected \\3-grams:"),
      (
        Self.arpa.replacing("-0.2\tthe king", with: "0.2\tthe king"),
        "line 16: expected a probability"
      ),
      (
        Self.arpa.replacing("-0.2\tthe king", with: "nan\tthe king"),
        "line 16: expected a probability"
      ),
      (Self.arpa.replacing("-0.2\tthe king", with: "-0.2\t<s> the"), "expected every n-gram once"),
      (String(Self.arpa.prefix(200)), "ends before"),
      (Self.arpa.replacing("\\end\\", with: ""), "ends before \\end\\"),
      (
        Self.arpa.replacing("ngram 3=1", with: "ngram 3=1000000000000"),
        "expected numbers of n-grams that the file has"
      ),
    ] {
      do {
        _ = try model(text)
        Issue.record("no error: \(part)")
      } catch {
        #expect("\(error)".contains(part) && "\(error)".contains("m.arpa"), "\(error)")
      }
    }
  }
}

@Suite struct MixtureTests {
  @Test func aMixtureIsBetweenItsParts() {
    let pair = Mixture.Pair(first: 2, second: 5)
    let expected: Double = -log(0.25 * exp(-2) + 0.75 * exp(-5))
    #expect(abs(Mixture.nats(pair, weight: 0.25) - expected) < 1e-12)
    #expect(Mixture.nats(pair, weight: 1) == 2 && Mixture.nats(pair, weight: 0) == 5)
    // Far below what a Double holds, and where one model has nothing.
    let small = Mixture.Pair(first: 2_000, second: 2_001)
    let tiny: Double = 2_000 - log(0.5) - log1p(exp(-1))
    #expect(abs(Mixture.nats(small, weight: 0.5) - tiny) < 1e-9)
    let unknown = Mixture.Pair(first: 3, second: .infinity)
    let halved: Double = 3 + log(2)
    #expect(abs(Mixture.nats(unknown, weight: 0.5) - halved) < 1e-12)
    #expect(Mixture.nats(unknown, weight: 0) == .infinity)
  }

  /// The weight has the highest likelihood of a grid, and is the derivative's zero.
  @Test func theWeightIsTheBest() {
    var random = SeededGenerator(5)
    let pairs = (0..<2_000).map { index in
      Mixture.Pair(
        first: Double.random(in: 0.5...9, using: &random),
        second: index % 11 == 0 ? .infinity : Double.random(in: 0.5...9, using: &random))
    }
    let weight = Mixture.weight(pairs)
    func total(_ weight: Double) -> Double {
      pairs.reduce(0) { $0 + Mixture.nats($1, weight: weight) }
    }
    #expect((0.05...0.95).contains(weight), "\(weight)")
    for other in stride(from: 0.02, through: 0.98, by: 0.02) {
      #expect(total(weight) <= total(other))
    }
    let slope = (total(weight + 1e-4) - total(weight - 1e-4)) / 2e-4
    #expect(abs(slope) < 0.05, "\(slope)")
    // A model that is always better takes all.
    let better = [Mixture.Pair(first: 1, second: 3), Mixture.Pair(first: 2, second: 4)]
    let worse = better.map { Mixture.Pair(first: $0.second, second: $0.first) }
    #expect(Mixture.weight(better) > 0.999 && Mixture.weight(worse) < 0.001)
  }
}

/// The same numbers every time.
private struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64

  init(_ seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}
