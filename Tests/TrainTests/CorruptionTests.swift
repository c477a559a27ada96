import Deterministic
import Foundation
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// Whatever happens to the bytes of a checkpoint is found, named, and not resumed from.
@Suite(.serialized) struct CorruptionTests {
  private static let files = [
    "config.json", "model.safetensors", "optimizer.safetensors", "state.json", "tokenizer.model",
    "SHA256SUMS",
  ]

  /// All the files of a checkpoint, those above among them.
  private static func files(of checkpoint: String) throws -> [String] {
    let all = try Files.entries(of: checkpoint)
    #expect(Set(all).isSuperset(of: files), "\(all)")
    return all
  }

  /// A run with checkpoints at 2 and 4, small enough to damage every byte of it.
  private static func run(in directory: String) throws -> (RunConfig, DataSet, run: String) {
    let data = try TinyDataSet.write(to: directory + "/data", shards: 1, sentences: 20)
    var config = RunConfig(
      preset: "test",
      model: ModelConfig(
        vocabularySize: TinyDataSet.vocabulary, width: 4, layers: 1, heads: 2, hidden: 4),
      steps: 4, batchTokens: 40, schedule: .inverseSquareRoot(warmup: 2))
    config.report.checkpointEvery = 2
    config.report.validateEvery = 0
    let run = directory + "/run"
    _ = try tinyTrainer(config, data, run: run).train()
    return (config, data, run)
  }

  private static func overwrite(_ path: String, _ bytes: some Sequence<UInt8>) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  @Test func everyFlippedByteOfACheckpointIsFound() throws {
    try withTemporaryDirectory { directory in
      let (_, _, run) = try Self.run(in: directory)
      let checkpoint = run + "/" + CheckpointFolder.name(step: 4)
      var tried = 0
      for file in try Self.files(of: checkpoint) {
        let path = checkpoint + "/" + file
        let bytes = try Files.contents(of: path)
        for position in bytes.indices {
          var damaged = bytes
          damaged[position] ^= 1 << UInt8(position % 8)
          try Self.overwrite(path, damaged)
          var message = ""
          do {
            // A damaged file of sums is read whatever file is asked for.
            let names = file == CheckpointFolder.sumsName ? nil : [file]
            try CheckpointFolder.verify(checkpoint, only: names)
            Issue.record("\(file), byte \(position): not found")
          } catch {
            message = "\(error)"
          }
          #expect(message.contains(file == CheckpointFolder.sumsName ? checkpoint : path))
          tried += 1
        }
        try Self.overwrite(path, bytes)
      }
      #expect(tried > 5_000)
      try CheckpointFolder.verify(checkpoint)
    }
  }

  @Test func everyCutOfACheckpointIsFound() throws {
    try withTemporaryDirectory { directory in
      let (_, _, run) = try Self.run(in: directory)
      let checkpoint = run + "/" + CheckpointFolder.name(step: 4)
      for file in try Self.files(of: checkpoint) {
        let path = checkpoint + "/" + file
        let bytes = try Files.contents(of: path)
        for length in bytes.indices {
          try Self.overwrite(path, bytes[..<length])
          #expect(throws: (any Error).self, "\(file), \(length) of \(bytes.count) bytes") {
            try CheckpointFolder.verify(checkpoint)
          }
        }
        try Files.remove(path)
        #expect(throws: (any Error).self, "without \(file)") {
          try CheckpointFolder.verify(checkpoint)
        }
        try Self.overwrite(path, bytes)
      }
      try CheckpointFolder.verify(checkpoint)
    }
  }

  /// Whichever file is damaged, the run goes on from the checkpoint before it and says so.
  @Test func resumeFallsBackAndSaysSo() throws {
    try withTemporaryDirectory { directory in
      let (config, data, run) = try Self.run(in: directory)
      let checkpoint = run + "/" + CheckpointFolder.name(step: 4)
      let random = CounterRandom(seed: 7)
      for (index, file) in try Self.files(of: checkpoint).enumerated() {
        let path = checkpoint + "/" + file
        let bytes = try Files.contents(of: path)
        for damage in 0..<4 {
          var damaged = bytes
          let position = Int(random.bits(UInt64(index * 4 + damage)) % UInt64(bytes.count))
          switch damage {
          case 0, 1: damaged[position] ^= 0x10
          case 2: damaged.removeSubrange(position...)
          default: damaged.insert(0x20, at: position)
          }
          try Self.overwrite(path, damaged)
          var skipped: [String] = []
          let trainer = try tinyTrainer(config, data, run: run, resume: true) {
            if case .skippedCheckpoint(let reason) = $0 { skipped.append(reason) }
          }
          #expect(trainer.step == 2, "\(file), damage \(damage)")
          #expect(skipped.count == 1 && skipped[0].contains(checkpoint), "\(skipped)")
          let findings = try RunVerification(run).run()
          #expect(findings.prefix(3).map(\.isGood) == [true, false, true])
          #expect(!findings.dropFirst(3).contains { !$0.isGood })
          #expect(findings[1].note.contains(checkpoint))
        }
        try Self.overwrite(path, bytes)
      }
      #expect(try RunVerification(run).run().allSatisfy(\.isGood))
      #expect(try tinyTrainer(config, data, run: run, resume: true).step == 4)
    }
  }

  /// The name of the newest checkpoint is a convenience: no damage to it loses anything.
  @Test func aDamagedLatestIsPassedOver() throws {
    try withTemporaryDirectory { directory in
      let (_, _, run) = try Self.run(in: directory)
      let path = run + "/" + CheckpointFolder.latestName
      let bytes = try Files.contents(of: path)
      let names = [2, 4].map { run + "/" + CheckpointFolder.name(step: $0) }
      for position in bytes.indices {
        for bit in 0..<8 {
          var damaged = bytes
          damaged[position] ^= 1 << UInt8(bit)
          try Self.overwrite(path, damaged)
          try Self.expectNewest(run, names)
        }
      }
      for length in 0..<bytes.count {
        try Self.overwrite(path, bytes[..<length])
        try Self.expectNewest(run, names)
      }
    }
  }

  /// The newest is taken whatever `latest` says, and what is wrong with it is told.
  private static func expectNewest(_ run: String, _ names: [String]) throws {
    var notes: [String] = []
    let resolved = try CheckpointFolder.resolve(run) { notes.append($0) }
    #expect(resolved == names[1])
    #expect(notes.count == 1 && notes[0].contains(run + "/latest"), "\(notes)")
    #expect(try RunVerification(run).run().map(\.isGood).contains(false))
  }

  @Test func withoutAnyGoodCheckpointEveryReasonIsTold() throws {
    try withTemporaryDirectory { directory in
      let (config, data, run) = try Self.run(in: directory)
      for step in [2, 4] {
        try Self.overwrite(run + "/" + CheckpointFolder.name(step: step) + "/state.json", [1])
      }
      let error = #expect(throws: TrainingError.self) {
        try tinyTrainer(config, data, run: run, resume: true)
      }
      for step in [2, 4] {
        #expect(error?.description.contains(CheckpointFolder.name(step: step)) == true)
      }
    }
  }
}
