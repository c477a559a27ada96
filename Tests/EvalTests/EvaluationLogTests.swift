import Eval
import Foundation
import Storage
import Synchronization
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
