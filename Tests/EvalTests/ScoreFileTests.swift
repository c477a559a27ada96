import Eval
import Foundation
import LMData
import Storage
import Synchronization
import Testing
import TestSupport

struct ScoreFileTests {
  private let table = TokenTable([
    [], [], [], Array(" a".utf8), [0xE2], [0x96], Array("b\t\\".utf8), Array(":é".utf8),
  ])

  private func sentence(_ ids: [Int32], _ nll: [Float], _ text: String) -> ScoredSentence {
    ScoredSentence(
      score: SequenceScore(targets: ids + [2], nllNats: nll),
      text: Array(text.utf8), words: 1)
  }

  private func lines(_ path: String) throws -> [String] {
    String(decoding: try Files.contents(of: path), as: UTF8.self)
      .split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  /// What `query -v sentence` of KenLM prints, from nats.
  @Test func kenlmLinesAreAsKenLMWritesThem() throws {
    try withTemporaryDirectory { directory in
      let path = directory + "/scores"
      let file = try ScoreFile(path: path, lines: ScoreLines(format: .kenlm))
      try file.append(
        ScoredSentence(
          score: SequenceScore(targets: [3, 2], nllNats: [Float(2.5), 0.25]), text: [], words: 3,
          unknownWords: 2))
      try file.append(sentence([], [0], ""))
      try file.finish()
      let lines = try lines(path)
      #expect(lines.count == 3 && lines[1] == "Total: 0.0 OOV: 0")
      let fields = lines[0].split(separator: " ")
      #expect(fields.count == 4 && fields[0] == "Total:" && fields[2] == "OOV:" && fields[3] == "2")
      #expect(abs((Double(fields[1]) ?? 0) + 2.75 / 2.302585092994046) < 1e-12)
    }
  }

  @Test func columnsAreAsDocumented() throws {
    try withTemporaryDirectory { directory in
      let path = directory + "/scores.tsv"
      // Of a run that was killed.
      try AtomicFile.write([1], to: directory + "/.scores.tsv.partial-\(Int32.max)")
      for perToken in [false, true] {
        let file = try ScoreFile(
          path: path, lines: ScoreLines(perToken ? .tokens(table) : .sentences))
        try file.append(sentence([3, 4, 5, 6, 7], [1, 0.5, 0.25, 2, 0, 4], "a \t\\:é"))
        try file.append(sentence([], [0.125], ""))
        try file.finish()
        let lines = try lines(path)
        #expect(lines.count == 4 && lines[3].isEmpty)
        #expect(lines[0] == "# nats\ttokens\twords\ttext" + (perToken ? "\ttoken:logprob" : ""))
        #expect(
          lines[1] == #"7.75\#t5\#t1\#ta \t\\:é"#
            + (perToken
              ? "\t▁a:-1.0 \\xE2:-0.5 \\x96:-0.25 b\\t\\\\:-2.0 :é:0.0 </s>:-4.0" : ""))
        #expect(lines[2] == "0.125\t0\t1\t" + (perToken ? "\t</s>:-0.125" : ""))
      }
      #expect(try Files.entries(of: directory) == ["scores.tsv"])
    }
  }

  @Test func nothingIsSeenBeforeTheEnd() throws {
    try withTemporaryDirectory { directory in
      let path = directory + "/scores.tsv"
      try AtomicFile.write([1], to: path)
      do {
        let file = try ScoreFile(path: path, lines: ScoreLines())
        for _ in 0..<20_000 { try file.append(sentence([3], [1, 2], "some text, so many times")) }
        #expect(try Files.contents(of: path) == [1])
      }
      #expect(try Files.entries(of: directory) == ["scores.tsv"])
      #expect(try Files.contents(of: path) == [1])
    }
  }

  /// Every call to the system fails once: the old file stays, and nothing lies beside it.
  @Test func everyCallMayFail() throws {
    try withTemporaryDirectory { directory in
      let path = directory + "/scores.tsv"
      try AtomicFile.write([1], to: path)
      func write(_ fails: @escaping @Sendable (Int) -> Bool) -> (calls: [String], String?) {
        let calls = Mutex<[String]>([])
        var message: String?
        SystemFault.during { call, path in
          guard path.hasPrefix(directory) else { return nil }
          return calls.withLock { calls in
            calls.append("\(call.rawValue) \(path)")
            return fails(calls.count - 1) ? ENOSPC : nil
          }
        } _: {
          do {
            let file = try ScoreFile(path: path, lines: ScoreLines())
            for _ in 0..<12_000 { try file.append(sentence([3], [1, 2], "text, so many times")) }
            try file.finish()
          } catch {
            message = "\(error)"
          }
        }
        return (calls.withLock { $0 }, message)
      }
      let (calls, _) = write { _ in false }
      #expect(calls.count >= 6 && calls.last?.hasPrefix("flush") == true, "\(calls)")
      try AtomicFile.write([1], to: path)
      for failing in calls.indices {
        let (_, message) = write { $0 == failing }
        // The last flushes the folder, once the new file has its name.
        let isThere = failing == calls.count - 1
        let words = [isThere ? directory : "scores.tsv", "No space left"]
        #expect(words.allSatisfy { message?.contains($0) == true }, "\(message ?? "")")
        #expect(try Files.entries(of: directory) == ["scores.tsv"], "\(calls[failing])")
        #expect(try (Files.size(of: path) > 1) == isThere, "\(calls[failing])")
      }
    }
  }

  @Test func devicesAndFoldersAreNotReplaced() throws {
    try withTemporaryDirectory { directory in
      #expect(throws: StorageError.notAFile(path: directory)) {
        try ScoreFile(path: directory, lines: ScoreLines())
      }
      // A device is written to and stays one.
      try ScoreFile(path: "/dev/null", lines: ScoreLines()).finish()
      #expect(throws: StorageError.notAFile(path: "/dev/null")) { try Files.size(of: "/dev/null") }
      let path = directory + "/missing/scores.tsv"
      let error = #expect(throws: StorageError.self) {
        try ScoreFile(path: path, lines: ScoreLines())
      }
      #expect(error?.description.contains("create \(path):") == true)
    }
  }
}
