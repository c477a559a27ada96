import Foundation
import Storage
import TestSupport
import Testing

/// Logs whose lines have sums: no changed byte is believed, and no crash is taken for damage.
@Suite struct SummedLogTests {
  private struct Entry: Codable, Equatable {
    var step: Int
    var loss: Double
    var text: String
  }

  private static let entries = (1...3).map {
    Entry(step: $0, loss: Double($0) / 3, text: "a {\"sum\":\"\($0)\"}")
  }

  /// The log as it is written, in bytes.
  private static func written(_ folder: TemporaryFolder) throws -> [UInt8] {
    try entries.flatMap {
      try SummedLog.line($0, path: folder.path) + [UInt8(ascii: "\n")]
    }
  }

  private static func read(
    _ bytes: some Sequence<UInt8>, _ folder: TemporaryFolder, requiresSums: Bool = true,
    isAppended: Bool = true
  ) throws -> SummedLog<Entry> {
    let path = try folder.write(Array(bytes), to: "log.jsonl")
    return try SummedLog(path: path, requiresSums: requiresSums, isAppended: isAppended)
  }

  /// The sum as anybody computes it: SHA-256 of the line up to the comma before the key.
  @Test func aLineIsJSONAndItsSumIsThatOfItsBeginning() throws {
    let line = SummedLine.adding(to: Array("{\"a\":1}".utf8))
    let sum = SHA256.hexDigest(of: Array("{\"a\":1".utf8)).prefix(16)
    #expect(String(decoding: line, as: UTF8.self) == "{\"a\":1,\"sum\":\"\(sum)\"}")
    let object = try JSONSerialization.jsonObject(with: Data(line)) as? [String: Any]
    #expect(object?["a"] as? Int == 1 && object?["sum"] as? String == String(sum))
    #expect(SummedLine.check(line[...]) == .holds)
  }

  @Test func everyFlipIsFound() throws {
    let folder = try TemporaryFolder()
    let bytes = try Self.written(folder)
    #expect(try Self.read(bytes, folder).entries.map(\.entry) == Self.entries)
    for position in bytes.indices {
      for bit in 0..<8 {
        var flipped = bytes
        flipped[position] ^= 1 << UInt8(bit)
        for isAppended in [true, false] {
          let log = try Self.read(flipped, folder, isAppended: isAppended)
          #expect(!log.damages.isEmpty, "byte \(position), bit \(bit)")
          #expect(log.entries.allSatisfy { Self.entries.contains($0.entry) })
        }
      }
    }
  }

  /// Without a word of the folder as well, as long as other lines have sums.
  @Test func aLineThatLostItsSumIsFoundBesideOthers() throws {
    let folder = try TemporaryFolder()
    let lines = try Self.written(folder).split(separator: 10).map(Array.init)
    let bare = Array(lines[1].dropLast(26)) + [UInt8(ascii: "}")]
    let log = try Self.read(
      [lines[0], bare, lines[2]].joined(separator: [10]) + [10], folder, requiresSums: false)
    #expect(log.entries.map(\.entry.step) == [1, 3])
    #expect(log.damages.map(\.line) == [2])
    #expect(log.damages[0].description.contains("log.jsonl, line 2"))
  }

  /// What a crash leaves of the last line is dropped without a word where lines are appended, and is
  /// damage where the file is replaced as a whole.
  @Test func aCutLineIsNoDamage() throws {
    let folder = try TemporaryFolder()
    let bytes = try Self.written(folder)
    for length in bytes.indices {
      let log = try Self.read(bytes.prefix(length), folder)
      #expect(log.damages.isEmpty, "\(length) of \(bytes.count)")
      let whole = bytes.prefix(length + 1).count { $0 == 10 }
      #expect(log.entries.count == whole)
      let replaced = try Self.read(bytes.prefix(length), folder, isAppended: false)
      let isWhole = length == 0 || bytes[length - 1] == 10 || bytes[length] == 10
      #expect(replaced.damages.isEmpty == isWhole, "\(length)")
    }
  }

  @Test func olderLogsAreReadAndGetSums() throws {
    let folder = try TemporaryFolder()
    let encoder = JSONEncoder()
    var older: [UInt8] = []
    for entry in Self.entries { older += [UInt8](try encoder.encode(entry)) + [10] }
    let log = try Self.read(older, folder, requiresSums: false)
    #expect(log.entries.map(\.entry) == Self.entries && !log.hasSums && log.damages.isEmpty)
    let again = try Self.read(log.summed(), folder)
    #expect(again.entries.map(\.entry) == Self.entries && again.hasSums)
    // In a folder that says that lines have sums it is none that this program wrote.
    #expect(try Self.read(older, folder).damages.count == 3)
    // Damage that is no JSON is found without sums too.
    #expect(
      try Self.read(older.map { $0 == 0x7B ? 0x7A : $0 }, folder, requiresSums: false).damages.count
        == 3)
  }

  @Test func damagedLinesAreKeptBesideTheLog() throws {
    let folder = try TemporaryFolder()
    var bytes = try Self.written(folder)
    bytes[9] ^= 1
    let line = Array(bytes.prefix { $0 != 10 }) + [10]
    for time in 1...2 {
      let notes = try Self.read(bytes, folder).setAside()
      #expect(notes.count == 1 && notes[0].contains("log.jsonl.damaged"))
      let kept = try Files.contents(of: folder.path + "/log.jsonl.damaged")
      #expect(kept == Array([[UInt8]](repeating: line, count: time).joined()))
    }
  }
}
