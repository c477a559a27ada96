import Foundation
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// What a run writes to be looked at: it follows interruptions and touches no weight.
@Suite(.serialized) struct WatchingTests {
  private static func trainer(
    _ data: DataSet, run: String, sampleEvery: Int, resume: Bool = false
  ) throws -> Trainer {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 16, layers: 1, heads: 2, hidden: 24)
    model.initialDeviation = 0.1
    var config = RunConfig(
      preset: "test", model: model, steps: 24, batchTokens: 120,
      schedule: .inverseSquareRoot(warmup: 4))
    config.dropout = 0.1
    config.report.logEvery = 3
    config.report.validateEvery = 12
    config.report.checkpointEvery = 8
    config.report.keepLast = 9
    config.report.sampleEvery = sampleEvery
    return try Trainer(
      config: config, dataSet: data, tokenTable: TinyDataSet.tokenTable,
      tokenizer: TinyDataSet.tokenizer, run: run, resume: resume)
  }

  @Test func logsFollowAnInterruptedRun() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let (whole, parts, plain) = (directory + "/whole", directory + "/parts", directory + "/plain")
      let first = try Self.trainer(data, run: whole, sampleEvery: 6)
      #expect(try first.train() == .finished)

      // Taken up at step 8 although the logs go on to step 14, the last record cut short.
      let stopped = try Self.trainer(data, run: parts, sampleEvery: 6)
      stopped.shouldStop = { stopped.step == 14 }
      #expect(try stopped.train() == .interrupted(step: 14))
      for step in [12, 14] { try Files.remove(parts + "/" + CheckpointFolder.name(step: step)) }
      let events = parts + "/" + EventLog.name
      let torn = try Files.contents(of: events).dropLast(5)
      try AtomicFile.write(Array(torn), to: events)
      let resumed = try Self.trainer(data, run: parts, sampleEvery: 6, resume: true)
      #expect(resumed.step == 8)
      #expect(try resumed.train() == .finished)

      let files = try [whole, parts].map { try Files.contents(of: $0 + "/" + EventLog.name) }
      #expect(files[0].count == files[1].count)
      var lengths: Set<Int> = []
      for step in 0...24 {
        let length = EventLog.length(of: files[0], keepingUpTo: step)
        #expect(EventLog.length(of: files[1], keepingUpTo: step) == length, "step \(step)")
        lengths.insert(length)
      }
      // The beginning, and every third step.
      #expect(lengths.count == 9 && lengths.max() == files[0].count)

      let samples = try [whole, parts].map { try StepLog<TrainingSample>.read(run: $0) }
      #expect(samples[0].map(\.step) == [6, 12, 18, 24] && samples[0] == samples[1])
      #expect(samples[0].allSatisfy { $0.texts.count == TrainingSample.count })
      #expect(samples[0].first?.texts != samples[0].last?.texts)

      // Without samples the same weights come out, and no file of samples.
      let unsampled = try Self.trainer(data, run: plain, sampleEvery: 0)
      #expect(try unsampled.train() == .finished)
      #expect(unsampled.weights.all.elements == first.weights.all.elements)
      #expect(resumed.weights.all.elements == first.weights.all.elements)
      #expect(!Files.exists(plain + "/" + TrainingSample.fileName))
    }
  }

  /// Configurations of before have no key for samples.
  @Test func olderConfigurationsDrawNone() throws {
    let config = try Preset.named("quickstart").config(vocabularySize: 300)
    let text = String(decoding: try JSONFile.encode(config), as: UTF8.self)
    let older = text.split(separator: "\n", omittingEmptySubsequences: false)
      .filter { !$0.contains("sampleEvery") }.joined(separator: "\n")
    #expect(older != text)
    // The key may have been the last of its object.
    let repaired = older.replacing(",\n  },", with: "\n  },")
    #expect(try JSONFile.decode(RunConfig.self, from: Array(repaired.utf8), path: "c") == config)
  }
}
