import Foundation
import LMData
import Model
import Storage
import Synchronization
import TestSupport
import Testing
import Train

/// Every call to the system that a checkpoint makes fails once, and from then on: what was good
/// stays good, and the message names the file and the reason.
@Suite(.serialized) struct FaultTests {
  private static func config() -> RunConfig {
    var config = RunConfig(
      preset: "test",
      model: ModelConfig(
        vocabularySize: TinyDataSet.vocabulary, width: 4, layers: 1, heads: 2, hidden: 4),
      steps: 4, batchTokens: 40, schedule: .inverseSquareRoot(warmup: 2))
    config.report.checkpointEvery = 2
    config.report.validateEvery = 0
    config.report.logEvery = 1
    // The checkpoint of step 2 is rotated away after that of step 4 is whole.
    config.report.keepLast = 1
    return config
  }

  private static func trainer(_ data: DataSet, run: String) throws -> Trainer {
    try tinyTrainer(config(), data, run: run, resume: true)
  }

  /// Trains to the end; calls below the run folder count, and fail as `fails` says.
  private static func train(
    _ data: DataSet, run: String, fails: @escaping @Sendable (Int) -> Bool
  ) throws -> (calls: [String], error: (any Error)?) {
    let calls = Mutex<[String]>([])
    var thrown: (any Error)?
    let trainer = try trainer(data, run: run)
    SystemFault.during { call, path in
      guard path.hasPrefix(run) else { return nil }
      return calls.withLock { calls in
        calls.append("\(call.rawValue) \(path)")
        return fails(calls.count - 1) ? ENOSPC : nil
      }
    } _: {
      do { _ = try trainer.train() } catch { thrown = error }
    }
    return (calls.withLock { $0 }, thrown)
  }

  @Test(arguments: [false, true]) func everyCallMayFail(forGood: Bool) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data", shards: 1, sentences: 20)
      let (calls, error) = try Self.train(data, run: directory + "/whole") { _ in false }
      #expect(error == nil && calls.count > 60)
      for kind in ["create", "write", "flush", "close", "rename", "makeFolder", "remove"] {
        #expect(calls.contains { $0.hasPrefix(kind) }, "\(kind)")
      }
      let whole = directory + "/whole/" + CheckpointFolder.name(step: 4)
      for failing in calls.indices {
        let run = directory + "/run-\(failing)"
        let (made, error) = try Self.train(data, run: run) {
          forGood ? $0 >= failing : $0 == failing
        }
        let message = try #require(error.map { "\($0)" }, "call \(failing): \(calls[failing])")
        #expect(made.count > failing)
        let path = made[failing].split(separator: " ", maxSplits: 1)[1]
        #expect(message.contains("\(path): No space left"), "\(made[failing]): \(message)")
        // Whatever has the name of a checkpoint is one; a failed removal may leave one in parts,
        // which resume passes over.
        let steps = CheckpointFolder.steps(ofRun: run)
        let good = steps.filter {
          (try? CheckpointFolder.verify(run + "/" + CheckpointFolder.name(step: $0))) != nil
        }
        let wasSaved = calls[..<failing].contains { $0 == "rename \(directory)/whole/latest" }
        #expect(!wasSaved || !good.isEmpty, "after \(calls[failing])")
        if !calls[failing].hasPrefix("remove") { #expect(good == steps, "\(calls[failing])") }
        // Nothing is to be done by hand.
        #expect(try Self.trainer(data, run: run).train() == .finished)
        for file in ["model.safetensors", "optimizer.safetensors"] {
          #expect(
            try Files.contents(of: run + "/" + CheckpointFolder.name(step: 4) + "/" + file)
              == Files.contents(of: whole + "/" + file), "\(file) after \(calls[failing])")
        }
        try Files.remove(run)
      }
    }
  }
}
