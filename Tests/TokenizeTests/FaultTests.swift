import Foundation
import LMData
import Storage
import Synchronization
import TestSupport
import Testing
import Tokenize

/// Every call to the system that making a data set needs fails once: the output is there whole or
/// not at all, the old one until then, and the message names the file and the reason.
@Suite(.serialized) struct DataSetFaultTests {
  private static func build(
    _ output: String, text: String, fails: @escaping @Sendable (Int) -> Bool
  ) -> (calls: [String], error: (any Error)?) {
    let calls = Mutex<[String]>([])
    var thrown: (any Error)?
    SystemFault.during { call, path in
      guard path.hasPrefix(output) || path.hasPrefix(Files.parent(of: output) + "/.out.")
      else { return nil }
      return calls.withLock { calls in
        calls.append("\(call.rawValue) \(path)")
        return fails(calls.count - 1) ? ENOSPC : nil
      }
    } _: {
      do {
        var builder = DataSetBuilder(
          corpus: try Corpus.plain(train: [text], valid: [], test: []), output: output,
          tokenizer: .train(
            TokenizerRecipe(modelType: .bpe, vocabularySize: 300), SampleLimits(sentences: 200)))
        builder.overwrite = true
        _ = try builder.build()
      } catch {
        thrown = error
      }
    }
    return (calls.withLock { $0 }, thrown)
  }

  @Test func everyCallMayFail() throws {
    try withTemporaryDirectory { directory in
      let folder = try TemporaryFolder()
      let text = try folder.write(
        Samples.lines(200, seed: 1).joined(separator: "\n") + "\n", to: "text.txt")
      let output = directory + "/out"
      let (first, error) = Self.build(output, text: text) { _ in false }
      #expect(error == nil && first.count > 10)
      let manifest = try Files.contents(of: output + "/manifest.json")
      // Over an old data set, which has its name until the new one is whole.
      let (calls, _) = Self.build(output, text: text) { _ in false }
      for failing in calls.indices {
        let (_, error) = Self.build(output, text: text) { $0 == failing }
        if let message = error.map({ "\($0)" }) {
          #expect(message.contains("No space left") && message.contains("out"), "\(message)")
        } else {
          // Only tidying up may fail without a word.
          #expect(calls[failing].hasPrefix("remove"), "\(calls[failing])")
        }
        try DataSet(directory: output).verify()
        #expect(try Files.contents(of: output + "/manifest.json") == manifest)
      }
    }
  }
}
