import Foundation
import LMData
import Storage
import Synchronization
import TestSupport
import Testing
import Tokenize

/// Every call to the system that making a data set needs fails once, or for good: the output is there whole or
/// not at all, the old one until then, and the message names the file and the reason.
@Suite(.serialized) struct DataSetFaultTests {
  private static func build(
    _ output: String, text: String, fails: @escaping @Sendable (Int) -> Bool
  ) -> (calls: [String], error: (any Error)?) {
    let calls = Mutex<[String]>([])
    var thrown: (any Error)?
    // Other tests write folders of that name at the same time.
    let beside = Files.parent(of: output) + "/.out."
    SystemFault.during { call, path in
      guard path.hasPrefix(output) || path.hasPrefix(beside) else { return nil }
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

  /// As if this process had ended and another begun: what failed for good is tidied up.
  private static func endProcess(besides output: String) throws {
    let folder = Files.parent(of: output)
    for name in try Files.entries(of: folder) where name.hasPrefix(".out.") {
      let other = name.replacing("-\(getpid())-", with: "-\(Int32.max)-")
      try Files.rename(folder + "/" + name, to: folder + "/" + other)
    }
    try AtomicDirectory.removeAbandoned(besides: output)
  }

  @Test(arguments: [false, true]) func everyCallMayFail(forGood: Bool) throws {
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
        let (made, error) = Self.build(output, text: text) {
          forGood ? $0 >= failing : $0 == failing
        }
        if let message = error.map({ "\($0)" }) {
          let path = made[failing].split(separator: " ", maxSplits: 1)[1]
          #expect(message.contains("\(path): No space left"), "\(made[failing]): \(message)")
        } else {
          // Only tidying up may fail without a word.
          #expect(calls[failing].hasPrefix("remove"), "\(calls[failing])")
        }
        try Self.endProcess(besides: output)
        #expect(try Files.entries(of: directory) == ["out"])
        try DataSet(directory: output).verify()
        #expect(try Files.contents(of: output + "/manifest.json") == manifest)
      }
    }
  }
}
