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
      let table = model.pieceTable()
      for line in lines {
        #expect(line.ids == (try model.encode(line.text)))
        #expect(table.decode(line.ids) == line.text)
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
