import LMData
import TestSupport
import Testing
import Tokenize

@Suite struct TextLinesTests {
  private static func read(_ path: String, _ model: SentencePieceModel) throws -> [TextLine] {
    let lines = try TextLines(path: path, encoder: LineEncoder(model: model, cacheSlots: 1 << 10))
    var all: [TextLine] = []
    while let line = try lines.nextLine() { all.append(line) }
    return all
  }

  @Test(arguments: ModelType.allCases)
  func everyLineComesOnceWithItsPieces(type: ModelType) throws {
    let folder = try TemporaryFolder()
    let model = try Samples.model(type)
    let expected = Samples.awkward + Samples.lines(300, seed: 4)
    for end in ["", "\n"] {
      let path = try folder.write(expected.joined(separator: "\n") + end, to: "text.txt")
      let lines = try Self.read(path, model)
      #expect(lines.map(\.text) == expected.map { Array($0.utf8) })
      #expect(lines.map(\.number) == Array(1...expected.count))
      let table = model.tokenTable()
      for line in lines {
        #expect(line.ids == (try model.encode(line.text)))
        #expect(table.decode(line.ids) == line.text)
      }
    }
  }

  /// A window is memory: a file of a few bytes cannot ask for gigabytes.
  @Test func windowsFarBeyondTheFileAreRefused() throws {
    let folder = try TemporaryFolder()
    let model = try Samples.model(.bpe)
    var bytes = StoredArchives.zstd(Array("the king\n".utf8))
    let path = try folder.write(bytes, to: "text.zst")
    #expect(try Self.read(path, model).map(\.text) == [Array("the king".utf8)])
    for exponent: UInt8 in 18...21 {
      // 2^(10 + exponent) bytes, as --long=28 to --long=31 ask for.
      bytes[5] = exponent << 3
      try folder.write(bytes, to: "text.zst")
      let error = #expect(throws: TokenizerError.self) { try Self.read(path, model) }
      #expect(error?.description.contains(path) == true)
      #expect(error?.description.contains("compress it again without --long") == true)
    }
    // 64 times the size of the file is granted, and memory that is not touched costs nothing.
    let long = [UInt8](repeating: 0x61, count: 4 << 20) + [0x0A]
    bytes = StoredArchives.zstd(Array(long[..<(2 << 20)]) + [0x0A] + Array(long[(2 << 20)...]))
    bytes[5] = 18 << 3
    try folder.write(bytes, to: "text.zst")
    #expect(try Self.read(path, model).map(\.text.count) == [2 << 20, 2 << 20])
  }

  /// Words of every length around that of a slot, at the end of a block and with zeros behind
  /// them; a second block that is short, so that bytes of the first lie behind it.
  @Test(arguments: ModelType.allCases)
  func wordsOfEveryLengthAreTheLibrarys(type: ModelType) throws {
    let folder = try TemporaryFolder()
    let model = try Samples.model(type)
    let letters = Array("theconingerre".utf8)
    let words = (0...40).map { count in (0..<count).map { letters[$0 * 7 % 13] } }
    let zeros = (1...16).flatMap { count in
      [[0x61] + [UInt8](repeating: 0, count: count), [UInt8](repeating: 0, count: count)]
    }
    let filler = Samples.lines(26_000, seed: 11).map { Array($0.utf8) }
    for ending in [[], [0x20], [0x0A], [0x20, 0x0A], [0x0A, 0x0A]] as [[UInt8]] {
      for (number, word) in words.enumerated() where !(word + ending).isEmpty {
        let begin = (words + zeros).reversed() + [word + [0x20] + word, word]
        // The long text once is enough.
        let lines = number == 17 ? filler + begin : Array(begin)
        let text = Array(lines.joined(separator: [0x0A])) + ending
        let path = try folder.write(text, to: "text.txt")
        let read = try Self.read(path, model)
        let expected = text.split(separator: 0x0A, omittingEmptySubsequences: false)
          .dropLast(text.last == 0x0A ? 1 : 0)
        #expect(read.count == expected.count)
        for (line, text) in zip(read, expected).suffix(120) {
          #expect(line.text == Array(text))
          #expect(line.ids == (try model.encode(Array(text))))
        }
      }
    }
  }

  /// More text than one block holds.
  @Test func longTextsKeepTheirNumbers() throws {
    let folder = try TemporaryFolder()
    let model = try Samples.model(.bpe)
    let text = Samples.lines(30_000, seed: 5)
    let path = try folder.write(text.joined(separator: "\n"), to: "text.txt")
    let lines = try Self.read(path, model)
    #expect(lines.count == text.count && lines.last?.number == text.count)
    #expect(zip(lines, text).allSatisfy { $0.text.elementsEqual($1.utf8) })
  }

  @Test func badLinesAreNumbered() throws {
    let folder = try TemporaryFolder()
    let model = try Samples.model(.bpe)
    let path = try folder.write(Array("one\ntwo\n".utf8) + [0xFF, 0x0A], to: "text.txt")
    #expect(throws: TokenizerError.invalidUTF8(path: path, line: 3)) {
      try Self.read(path, model)
    }
    let empty = try folder.write("", to: "empty.txt")
    #expect(throws: TokenizerError.emptyText(path: empty)) { try Self.read(empty, model) }
  }
}
