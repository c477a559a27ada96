import Eval
import Foundation
import Storage
import Synchronization
import Tensor
import TestSupport
import Testing

@Suite struct EvaluationLogTests {
  private static func record(_ number: Int) -> EvaluationRecord {
    EvaluationRecord(
      checkpoint: "run/step-00000001", step: 1, weightsSHA256: "\(number)", parameters: 1,
      attention: "softmax", tokenizerSHA256: "t", vocabularySize: 3, text: "text",
      textSums: TextSums(md5: "m", sha256: "s"), textIsMapped: false, window: nil,
      outOfVocabulary: nil, tally: Tally(), standardError: nil)
  }

  /// Figures of two precisions stand side by side and say which is which; float32 is not named, and a
  /// record that names none, as all did once, is of float32.
  @Test func everyPrecisionHasItsRecord() throws {
    let folder = try TemporaryFolder()
    func record(_ precision: Precision, words: Int) -> EvaluationRecord {
      EvaluationRecord(
        checkpoint: "run/step-00000001", step: 1, weightsSHA256: "w", parameters: 1,
        attention: "softmax", tokenizerSHA256: "t", vocabularySize: 3, text: "text",
        textSums: TextSums(md5: "m", sha256: "s"), textIsMapped: false, window: nil,
        precision: precision, outOfVocabulary: nil,
        tally: Tally(nats: 8, tokens: 7, sentences: 6, words: words, bytes: 4), standardError: nil)
    }
    for (precision, words) in [
      (Precision.float32, 5), (.bfloat16, 5), (.bfloat16, 6), (.float32, 7),
    ] {
      try EvaluationLog.add(record(precision, words: words), run: folder.path)
    }
    let records = try EvaluationLog.read(run: folder.path)
    #expect(records == [record(.bfloat16, words: 6), record(.float32, words: 7)])
    let lines = String(
      decoding: try Files.contents(of: folder.path + "/" + EvaluationLog.name), as: UTF8.self
    ).split(separator: "\n")
    #expect(lines.map { $0.contains("precision") } == [true, false])
    #expect(records.map { $0.paperLine.contains("products in bfloat16") } == [true, false])
  }

  /// Two models that differ in rows of n-grams alone are two.
  @Test func otherRowsAreAnotherModel() throws {
    let folder = try TemporaryFolder()
    for rows in ["a", "b", "a"] {
      var record = Self.record(1)
      (record.ngramsSHA256, record.ngramNumbers) = (rows, 32)
      try EvaluationLog.add(record, run: folder.path)
      let sentences = try #require(
        SentenceRecord(record, [SentenceSum(nats: 2, units: 3), SentenceSum(nats: 1, units: 2)]))
      #expect(sentences.belongs(to: record) && !sentences.belongs(to: Self.record(1)))
      try sentences.add(to: folder.path)
    }
    let records = try EvaluationLog.read(run: folder.path)
    #expect(records.map(\.ngramsSHA256) == ["b", "a"])
    #expect(records[0].paperLine.contains("and 32 numbers in rows of n-grams"))
    let sentences = try SentenceRecord.contents(run: folder.path).entries.map(\.entry)
    #expect(sentences.map(\.ngramsSHA256) == ["b", "a"])
  }

  /// Records that come at the same moment are all kept.
  @Test func manyAtOnceLoseNothing() throws {
    let folder = try TemporaryFolder()
    let path = folder.path
    let failures = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 24) { number in
      do {
        try EvaluationLog.add(Self.record(number), run: path)
      } catch {
        failures.withLock { $0.append("\(error)") }
      }
    }
    #expect(failures.withLock { $0 } == [])
    let records = try EvaluationLog.read(run: path)
    #expect(Set(records.map(\.weightsSHA256)) == Set((0..<24).map { "\($0)" }))
    #expect(records.count == 24)
    #expect(try Files.entries(of: folder.path) == [EvaluationLog.name])
  }
}
