import Deterministic
import Eval
import Host
import LMData
import Tensor
import Testing

struct TextTests {
  /// Whole characters only, and nothing lost, wherever the bytes are cut.
  @Test func streamedTextIsTheWholeText() {
    let samples: [[UInt8]] = [
      Array("a é ▁ 😀 end".utf8), [], [0x41], [0xE2, 0x96], [0xF0, 0x9F, 0x98], [0xC3],
      [0xE2, 0x28, 0xA1], [0x80, 0x80, 0x80, 0x80, 0x41], [0xFF, 0xFE, 0xE2, 0x96, 0x81, 0xF0],
      [0xF0, 0x9F, 0xE2, 0x96, 0x81], [0xE0, 0x80, 0x80], [0xC0, 0xAF], [0xED, 0xA0, 0x80, 0x42],
      [0xF4, 0x90, 0x80, 0x80], [0xF8, 0x88, 0x80, 0x80, 0x80],
    ]
    for bytes in samples {
      for part in 1...5 {
        var stream = TextStream()
        var text = ""
        for start in stride(from: 0, to: bytes.count, by: part) {
          text += stream.append(bytes[start..<min(bytes.count, start + part)])
        }
        text += stream.finish()
        #expect(
          Array(text.unicodeScalars)
            == Array(String(decoding: bytes, as: UTF8.self).unicodeScalars),
          "\(bytes) by \(part)")
      }
    }
    var stream = TextStream()
    let parts = [0xF0, 0x9F, 0x98, 0x80].map { stream.append([$0]) }
    #expect(parts == ["", "", "", "😀"])
  }

  @Test func randomBytesStreamAsTheyDecode() {
    let random = CounterRandom(seed: 9)
    let leads: [UInt8] = [0x41, 0xC3, 0xE2, 0xED, 0xF0, 0xF4, 0x80, 0x96, 0xA0, 0xBF, 0xFF]
    for trial in 0..<3_000 {
      let bytes = (0..<9).map { leads[Int(random.bits(UInt64(trial * 9 + $0)) % 11)] }
      var stream = TextStream()
      let text = bytes.map { stream.append([$0]) }.joined() + stream.finish()
      let whole = String(decoding: bytes, as: UTF8.self)
      #expect(Array(text.utf8) == Array(whole.utf8), "\(bytes)")
    }
  }

  @Test func aPromptIsOneLine() throws {
    func line(_ text: String) throws -> String {
      String(decoding: try Prompt.line(of: Array(text.utf8)), as: UTF8.self)
    }
    #expect(try line("") == "")
    #expect(try line("\n") == "")
    #expect(try line("The king") == "The king")
    #expect(try line("The king\n") == "The king")
    #expect(try line("The king\r\n") == "The king")
    #expect(throws: EvaluationError.promptOfManyLines(lines: 2)) { try line("a\nb") }
    #expect(throws: EvaluationError.promptOfManyLines(lines: 3)) { try line("a\n\nb\n") }
  }

  @Test func markersAndLineBreaksAreNeverSampled() {
    let table = TokenTable([
      Array(" ⁇ ".utf8), [], [], Array(" a".utf8), [0x0A], Array("b\nc".utf8), [0xE2], [],
    ])
    let special = SpecialIDs(bos: 1, eos: 2, unk: 0)
    #expect(Prompt.neverSampled(table, special: special) == [0, 1, 4, 5, 7])
    // Nor rows that are no tokens, unless one closes a text.
    #expect(
      Prompt.neverSampled(table, special: special, ends: [7, 9], rows: 11) == [0, 1, 4, 5, 8, 10])
  }
}
