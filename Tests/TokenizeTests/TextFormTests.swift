import Foundation
import LMData
import Storage
import TestSupport
import Testing
import Tokenize

/// Byte order marks, and the line ends of other systems.
@Suite struct TextFormTests {
  private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

  private static func read(
    _ path: String, _ lineEnds: LineEnds = .newline
  ) throws -> (lines: [[UInt8]], form: TextForm) {
    let encoder = LineEncoder(model: try Samples.model(.bpe), cacheSlots: 1 << 10)
    let lines = try TextLines(path: path, encoder: encoder, lineEnds: lineEnds)
    var all: [[UInt8]] = []
    while let line = try lines.nextLine() { all.append(line.original) }
    return (all, lines.form)
  }

  /// Over several blocks, so that a pair of bytes lies across a border somewhere.
  private static let text = Samples.lines(60_000, seed: 9).map { Array($0.utf8) }

  @Test func aMarkIsPassedOver() throws {
    let folder = try TemporaryFolder()
    let bytes = Array(Self.text.joined(separator: [0x0A]))
    let path = try folder.write(Self.mark + bytes, to: "marked.txt")
    let (lines, form) = try Self.read(path)
    #expect(lines == Self.text)
    #expect(form.hasByteOrderMark && form.notes(path: path, lineEnds: .newline).count == 1)
    // Elsewhere it is a character, and nothing but it is no text.
    let inside = try folder.write(Array("a\n".utf8) + Self.mark + [0x62], to: "inside.txt")
    #expect(try Self.read(inside).lines == [[0x61], Self.mark + [0x62]])
    let alone = try folder.write(Self.mark, to: "alone.txt")
    #expect(throws: TokenizerError.emptyText(path: alone)) { try Self.read(alone) }
  }

  @Test(
    arguments: [
      ("UTF-16", [0xFF, 0xFE, 0x61, 0]), ("UTF-16", [0xFE, 0xFF, 0, 0x61]),
      ("UTF-16LE", [0x61, 0, 0x62, 0]), ("UTF-16BE", [0, 0x61, 0, 0x62]),
      ("UTF-32", [0xFF, 0xFE, 0, 0, 0x61, 0, 0, 0]), ("UTF-32", [0, 0, 0xFE, 0xFF, 0, 0, 0, 0x61]),
    ] as [(String, [UInt8])])
  func otherEncodingsAreNamed(name: String, bytes: [UInt8]) throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(bytes, to: "text.txt")
    #expect(throws: TokenizerError.otherEncoding(path: path, found: name)) { try Self.read(path) }
    #expect(throws: TokenizerError.otherEncoding(path: path, found: name)) {
      try WordList(path: path)
    }
  }

  @Test func carriageReturnsAreTextUnlessTheyAreLineEnds() throws {
    let folder = try TemporaryFolder()
    let plain = try folder.write(Array(Self.text.joined(separator: [0x0A])) + [0x0A], to: "lf.txt")
    let expected = try Self.read(plain)
    #expect(expected.form == TextForm())
    let count = Self.text.count
    for (name, end) in [("crlf", [0x0D, 0x0A]), ("cr", [0x0D])] as [(String, [UInt8])] {
      let bytes = Array(Self.text.joined(separator: end)) + end
      let path = try folder.write(bytes, to: name + ".txt")
      let kept = try Self.read(path)
      let isPair = end.count == 2
      #expect(kept.form.carriageReturns == (isPair ? (count, 0) : (0, count)))
      #expect(kept.form.notes(path: path, lineEnds: .newline).count == 1)
      #expect(kept.lines == (isPair ? Self.text.map { $0 + [0x0D] } : [bytes]))
      let taken = try Self.read(path, .any)
      #expect(taken.lines == Self.text)
      #expect(taken.form == kept.form)
    }
  }

  /// A file is the same data set with a mark, and with other line ends where they are taken as such.
  @Test(arguments: [1, 3]) func dataSetsAreThoseOfThePlainText(threads: Int) throws {
    let folder = try TemporaryFolder()
    let text = Self.text
    func build(_ end: [UInt8], mark: [UInt8] = []) throws -> (Manifest, notes: [String]) {
      let path = try folder.write(mark + Array(text.joined(separator: end)) + end, to: "text.txt")
      let tokenizer = try folder.write(Samples.model(.bpe).serialized, to: "tokenizer.model")
      let output = folder.path + "/data"
      try Files.remove(output)
      var builder = DataSetBuilder(
        corpus: try .plain(train: [path]), output: output, tokenizer: .file(tokenizer))
      builder.threads = threads
      builder.lineEnds = end == [0x0A] ? .newline : .any
      let notes = Notes()
      let manifest = try builder.build(report: { notes.take($0) })
      return (manifest, notes.all)
    }
    let (plain, none) = try build([0x0A])
    #expect(none.isEmpty && plain.lineEnds == nil)
    let (marked, aboutMark) = try build([0x0A], mark: Self.mark)
    #expect(marked == plain && aboutMark.count == 1)
    for end in [[0x0D, 0x0A], [0x0D]] as [[UInt8]] {
      var (manifest, notes) = try build(end)
      #expect(notes.count == 1 && manifest.lineEnds == "any")
      manifest.lineEnds = nil
      #expect(manifest == plain)
    }
  }

  private final class Notes: @unchecked Sendable {
    private let lock = NSLock()
    private var sentences: [String] = []

    var all: [String] { lock.withLock { sentences } }

    func take(_ phase: DataSetBuilder.Phase) {
      if case .note(let sentence) = phase { lock.withLock { sentences.append(sentence) } }
    }
  }

  /// "the" is in a list that an editor of Windows has written, and in one of an old Mac.
  @Test(arguments: ["\n", "\r\n", "\r"]) func listsOfOtherSystemsHoldTheSameWords(
    end: String
  ) throws {
    let words = ["the", "of", "river"]
    let contents = Self.mark + Array((words.map { $0 + "\t3" }.joined(separator: end) + end).utf8)
    let list = try WordList(contents: contents, path: "words.txt")
    #expect(list.count == 3)
    for word in words { #expect(list.contains(Array(word.utf8))) }
    let bad = Self.mark + Array(("the" + end + "a b c" + end).utf8)
    let error = #expect(throws: TokenizerError.self) {
      try WordList(contents: bad, path: "words.txt")
    }
    guard case .vocabulary(_, 2, _) = error else {
      Issue.record("\(String(describing: error))")
      return
    }
  }

  @Test func configurationsMayBeginWithAMark() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write(Self.mark + Array("{\"a\": 3}".utf8), to: "value.json")
    #expect(try JSONFile.read([String: Int].self, from: path) == ["a": 3])
  }
}
