import Eval
import Foundation
import LMData
import Model
import Storage
import Synchronization
import TestSupport
import Testing
import Train

/// What stands beside the checkpoints of a run: covered by sums, repaired, and never anybody else's.
@Suite(.serialized) struct RunFolderTests {
  private static func config(seed: UInt64 = 1) -> RunConfig {
    var config = RunConfig(
      preset: "test",
      model: ModelConfig(
        vocabularySize: TinyDataSet.vocabulary, width: 4, layers: 1, heads: 2, hidden: 4),
      steps: 12, batchTokens: 40, schedule: .inverseSquareRoot(warmup: 2))
    config.seed = seed
    config.report.checkpointEvery = 2
    config.report.validateEvery = 0
    config.report.logEvery = 1
    config.report.keepLast = 2
    return config
  }

  /// A run as the command makes it, of 12 steps, 10 and 12 of them kept.
  private static func run(_ directory: String, name: String = "run") throws -> (DataSet, String) {
    let data = try TinyDataSet.write(to: directory + "/data", shards: 1, sentences: 20)
    let run = directory + "/" + name
    let trainer = try tinyTrainer(config(), data, run: run)
    try RunFolder.write(config(), run: run)
    _ = try trainer.train()
    return (data, run)
  }

  private static func overwrite(_ path: String, _ bytes: some Sequence<UInt8>) throws {
    try Data(bytes).write(to: URL(fileURLWithPath: path))
  }

  private static func latest(_ run: String) throws -> String {
    String(decoding: try Files.contents(of: run + "/latest"), as: UTF8.self)
  }

  private static func resolve(_ path: String) throws -> (path: String, notes: [String]) {
    var notes: [String] = []
    return (try CheckpointFolder.resolve(path, verifyingWeights: true) { notes.append($0) }, notes)
  }

  private static func step(_ number: Int) -> String { CheckpointFolder.name(step: number) }

  // MARK: latest

  /// A kill between the rename of the last checkpoint and that of `latest`.
  @Test func whatAKillLeftUndoneIsMadeUpFor() throws {
    try withTemporaryDirectory { directory in
      let (data, run) = try Self.run(directory)
      #expect(CheckpointFolder.steps(ofRun: run) == [10, 12])
      #expect(try Self.resolve(run).notes.isEmpty)
      #expect(try RunVerification(run).run().allSatisfy(\.isGood))
      // As before the last step: what rotation would have removed is still there.
      var earlier = Self.config()
      earlier.steps = 8
      let other = directory + "/earlier"
      _ = try tinyTrainer(earlier, data, run: other).train()
      try FileManager.default.copyItem(
        atPath: other + "/" + Self.step(8), toPath: run + "/" + Self.step(8))
      try Self.overwrite(run + "/latest", Array((Self.step(10) + "\n").utf8))

      let resolved = try Self.resolve(run)
      #expect(resolved.path == run + "/" + Self.step(12))
      #expect(resolved.notes.count == 1 && resolved.notes[0].contains("\(run)/latest"))
      let findings = try RunVerification(run).run().filter { !$0.isGood }
      #expect(findings.map(\.path) == [run + "/latest"])

      let trainer = try tinyTrainer(Self.config(), data, run: run, resume: true)
      #expect(try trainer.train() == .finished)
      #expect(try Self.latest(run) == Self.step(12) + "\n")
      #expect(CheckpointFolder.steps(ofRun: run) == [10, 12])
      #expect(try RunVerification(run).run().allSatisfy(\.isGood))
    }
  }

  /// A run that goes on saves and removes checkpoints while they are verified: none of it is damage.
  @Test func aRunIsVerifiedWhileItGoesOn() throws {
    try withTemporaryDirectory { directory in
      let (_, run) = try Self.run(directory)
      let verification = try RunVerification(run)
      try FileManager.default.copyItem(
        atPath: run + "/" + Self.step(12), toPath: run + "/" + Self.step(14))
      try Self.overwrite(run + "/latest", Array((Self.step(14) + "\n").utf8))
      try Files.remove(run + "/" + Self.step(10))
      let findings = verification.run()
      let damaged = findings.filter { !$0.isGood }
      #expect(damaged.isEmpty, "\(damaged)")
      #expect(findings.first?.path == run + "/" + Self.step(12))
      #expect(
        findings.contains {
          $0.path == run + "/latest" && $0.note == "names \(Self.step(14)), saved meanwhile"
        })
      // What it names must be there.
      try Self.overwrite(run + "/latest", Array((Self.step(16) + "\n").utf8))
      #expect(verification.run().contains { $0.path == run + "/latest" && !$0.isGood })
    }
  }

  /// Whatever of the newest checkpoint is damaged, the one before it is taken, and that is said.
  @Test func theNewestGoodCheckpointIsTaken() throws {
    try withTemporaryDirectory { directory in
      let (_, run) = try Self.run(directory)
      let newest = run + "/" + Self.step(12)
      for name in ["config.json", "model.safetensors", "tokenizer.model", "state.json"] {
        let bytes = try Files.contents(of: newest + "/" + name)
        var damaged = bytes
        damaged[bytes.count / 2] ^= 1
        try Self.overwrite(newest + "/" + name, damaged)
        let resolved = try Self.resolve(run)
        #expect(resolved.path == run + "/" + Self.step(10), "\(name)")
        #expect(resolved.notes.contains { $0.contains(newest) }, "\(resolved.notes)")
        // Who names it means it.
        #expect(try Self.resolve(newest).path == newest)
        try Self.overwrite(newest + "/" + name, bytes)
      }
      // Known from elsewhere.
      let older = try CheckpointFolder.resolve(run, damaged: [newest: "scored"]) { _ in }
      #expect(older == run + "/" + Self.step(10))
      #expect(throws: CheckpointError.self) {
        try CheckpointFolder.resolve(
          run, damaged: [newest: "a", run + "/" + Self.step(10): "b"]
        ) { _ in }
      }
    }
  }

  // MARK: The configuration

  @Test func everyFlipOfTheConfigurationIsFound() throws {
    try withTemporaryDirectory { directory in
      let (_, run) = try Self.run(directory)
      for name in [RunFolder.configName, SumsFile.name] {
        let path = run + "/" + name
        let bytes = try Files.contents(of: path)
        for position in bytes.indices {
          var damaged = bytes
          damaged[position] ^= 1 << UInt8(position % 7)
          try Self.overwrite(path, damaged)
          #expect(throws: (any Error).self, "\(name), byte \(position)") {
            try RunFolder.readConfig(run)
          }
        }
        var notes: [String] = []
        try Self.overwrite(path, bytes.dropLast(9))
        let resumed = try RunFolder.resumedConfig(run) { notes.append($0) }
        #expect(resumed == Self.config())
        #expect(notes.count == 1 && notes[0].contains(run + "/" + Self.step(12)), "\(notes)")
        let findings = try RunVerification(run).run().filter { !$0.isGood }
        #expect(findings.map(\.path) == [RunFolder.configPath(run)])
        try Self.overwrite(path, bytes)
      }
      #expect(try RunFolder.readConfig(run) == Self.config())
    }
  }

  /// The length of a run that has no checkpoint yet is nobody's guess.
  @Test func withoutACheckpointADamagedConfigurationIsRefused() throws {
    try withTemporaryDirectory { directory in
      let run = directory + "/run"
      try Files.createDirectory(run)
      try RunFolder.write(Self.config(), run: run)
      let path = RunFolder.configPath(run)
      let text = String(decoding: try Files.contents(of: path), as: UTF8.self)
      try Self.overwrite(path, text.replacing("\"steps\" : 12", with: "\"steps\" : 92").utf8)
      let error = #expect(throws: TrainingError.self) {
        try RunFolder.resumedConfig(run) { _ in }
      }
      #expect(error?.description.contains(path) == true)
    }
  }

  /// A run of the version before: read as it is, and covered from when it is trained on.
  @Test func olderRunsGetSums() throws {
    try withTemporaryDirectory { directory in
      let (data, run) = try Self.run(directory)
      try Files.remove(run + "/" + SumsFile.name)
      let metrics = run + "/" + MetricsLog.name
      let older = String(decoding: try Files.contents(of: metrics), as: UTF8.self)
        .replacing(/,"sum":"[0-9a-f]{16}"/, with: "")
      try Self.overwrite(metrics, older.utf8)
      #expect(try MetricsLog.read(run: run).count == 13)
      let findings = try RunVerification(run).run()
      #expect(!findings.contains { !$0.isGood })
      #expect(findings.count { $0.note.contains("no sums") } == 2, "\(findings)")

      var longer = Self.config()
      longer.steps = 14
      let trainer = try tinyTrainer(longer, data, run: run, resume: true)
      try RunFolder.write(longer, run: run)
      #expect(try trainer.train() == .finished)
      let log = try MetricsLog.contents(run: run)
      #expect(log.entries.count == 16 && log.hasSums && log.damages.isEmpty)
      #expect(try RunVerification(run).run().allSatisfy { !$0.note.contains("no sums") })
    }
  }

  /// Wherever the writing of another configuration ends, one of the two is there and has its sum.
  @Test func aConfigurationHasItsSumAtEveryMoment() throws {
    try withTemporaryDirectory { directory in
      let run = directory + "/run"
      try Files.createDirectory(run)
      let (one, other) = (Self.config(), Self.config(seed: 2))
      try RunFolder.write(one, run: run)
      var failing = 0
      while true {
        let calls = Mutex(0)
        let allowed = failing
        let error = SystemFault.during { _, path in
          guard path.hasPrefix(run) else { return nil }
          return calls.withLock { calls in
            calls += 1
            return calls > allowed ? ENOSPC : nil
          }
        } _: { () -> (any Error)? in
          do { try RunFolder.write(other, run: run) } catch { return error }
          return nil
        }
        let found = try RunFolder.readConfig(run)
        #expect(found == one || found == other, "call \(failing)")
        guard error != nil else { break }
        failing += 1
      }
      #expect(failing > 10)
      #expect(try RunFolder.readConfig(run) == other)
      #expect(try Files.contents(of: run + "/" + SumsFile.name).count { $0 == 10 } == 1)
    }
  }

  // MARK: Logs

  /// A damaged line costs itself: the run says so, goes on, and every other line stays.
  @Test func aDamagedLineCostsItself() throws {
    try withTemporaryDirectory { directory in
      let (data, run) = try Self.run(directory)
      let path = run + "/" + MetricsLog.name
      let whole = try MetricsLog.read(run: run)
      var bytes = try Files.contents(of: path)
      let ends = bytes.indices.filter { bytes[$0] == 10 }
      bytes[ends[4] - 60] ^= 1
      try Self.overwrite(path, bytes)
      let error = #expect(throws: LogDamage.self) { try MetricsLog.read(run: run) }
      #expect(error?.line == 5 && error?.path == path)
      let findings = try RunVerification(run).run().filter { !$0.isGood }
      #expect(findings.map(\.path) == [path])
      #expect(findings[0].note.contains("line 5"))

      let events = try Files.contents(of: run + "/" + EventLog.name)
      var told: [String] = []
      let trainer = try tinyTrainer(Self.config(), data, run: run, resume: true) {
        if case .damaged(let reason) = $0 { told.append(reason) }
      }
      #expect(try trainer.train() == .finished)
      #expect(told.count == 1 && told[0].contains("line 5"))
      #expect(try MetricsLog.read(run: run) == whole.filter { $0.step != whole[4].step })
      #expect(Files.exists(path + ".damaged"))
      #expect(try Files.contents(of: run + "/" + EventLog.name) == events)
    }
  }

  /// Events behind a damaged one are written again from the metrics.
  @Test func damagedEventsAreWrittenAnew() throws {
    try withTemporaryDirectory { directory in
      let (data, run) = try Self.run(directory)
      let path = run + "/" + EventLog.name
      let whole = try Files.contents(of: path)
      #expect(EventLog.damage(of: whole) == nil && EventLog.count(of: whole) == 13)
      for position in [0, 9, 30, whole.count / 3, whole.count - 1] {
        var bytes = whole
        bytes[position] ^= 4
        try Self.overwrite(path, bytes)
        #expect(EventLog.damage(of: bytes) != nil, "\(position)")
        #expect(try RunVerification(run).run().filter { !$0.isGood }.map(\.path) == [path])
        var told: [String] = []
        let trainer = try tinyTrainer(Self.config(), data, run: run, resume: true) {
          if case .damaged(let reason) = $0 { told.append(reason) }
        }
        _ = try trainer.train()
        #expect(told.count == 1 && told[0].contains(path), "\(told)")
        let again = try Files.contents(of: path)
        #expect(again.count == whole.count && EventLog.damage(of: again) == nil)
      }
      // What a crash has cut short is no damage.
      for length in whole.indices {
        #expect(EventLog.damage(of: Array(whole.prefix(length))) == nil, "\(length)")
      }
    }
  }

  // MARK: What is not ours

  /// Neither rotation nor saving removes what this run did not write.
  @Test func whatIsNotOfThisRunStays() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data", shards: 1, sentences: 20)
      let run = directory + "/run"
      let first = try tinyTrainer(Self.config(), data, run: run)
      first.shouldStop = { first.step == 4 }
      _ = try first.train()
      #expect(CheckpointFolder.steps(ofRun: run) == [2, 4])
      // A checkpoint of another seed, one with a person's notes in it, and folders of that name.
      _ = try tinyTrainer(Self.config(seed: 2), data, run: directory + "/other").train()
      try FileManager.default.copyItem(
        atPath: directory + "/other/" + Self.step(12), toPath: run + "/" + Self.step(1))
      let other = try JSONFile.read(
        TrainState.self, from: run + "/" + Self.step(1) + "/state.json")
      #expect(other.config.seed == 2)
      try Self.overwrite(run + "/" + Self.step(2) + "/notes.txt", "mine".utf8)
      try Files.createDirectory(run + "/" + Self.step(3))
      try Self.overwrite(run + "/" + Self.step(3) + "/thesis.tex", "mine".utf8)
      try Files.createDirectory(run + "/" + Self.step(8))
      try Self.overwrite(run + "/" + Self.step(8) + "/thesis.tex", "mine".utf8)
      for name in [".thesis.partial-\(Int32.max)-1", ".step-7.partial-\(Int32.max)-1"] {
        try Files.createDirectory(run + "/" + name)
      }
      try Files.createDirectory(run + "/." + Self.step(5) + ".partial-\(Int32.max)-1")

      let second = try tinyTrainer(Self.config(), data, run: run, resume: true)
      #expect(second.step == 4)
      #expect(try second.train() == .finished)
      #expect(CheckpointFolder.steps(ofRun: run) == [1, 2, 3, 10, 12])
      #expect(Files.exists(run + "/" + Self.step(2) + "/notes.txt"))
      #expect(Files.exists(run + "/" + Self.step(3) + "/thesis.tex"))
      #expect(Files.exists(run + "/" + Self.step(8) + ".kept-1/thesis.tex"))
      #expect(Files.isDirectory(run + "/.thesis.partial-\(Int32.max)-1"))
      #expect(Files.isDirectory(run + "/.step-7.partial-\(Int32.max)-1"))
      #expect(!Files.exists(run + "/." + Self.step(5) + ".partial-\(Int32.max)-1"))
    }
  }

  @Test func aNewRunReplacesNoFile() throws {
    let folder = try TemporaryFolder()
    try folder.write("mine", to: "notes.txt")
    try RunFolder.requireUnused(folder.path)
    try RunFolder.requireUnused(folder.path + "/none")
    for name in [SumsFile.name, "latest", MetricsLog.name, EventLog.name, "config.json"] {
      try folder.write("mine", to: name)
      #expect(throws: TrainingError.self, "\(name)") {
        try RunFolder.requireUnused(folder.path)
      }
      try Files.remove(folder.path + "/" + name)
    }
  }

  @Test func recordsSurviveDamageBesideThem() throws {
    let folder = try TemporaryFolder()
    func record(_ weights: String) -> EvaluationRecord {
      EvaluationRecord(
        checkpoint: "c", step: 1, weightsSHA256: weights, parameters: 1, attention: "softmax",
        tokenizerSHA256: "t", vocabularySize: 9, text: "text",
        textSums: TextSums(md5: "m", sha256: "s"), textIsMapped: false, window: nil,
        outOfVocabulary: nil,
        tally: Tally(nats: 8, tokens: 7, sentences: 6, words: 5, bytes: 4), standardError: 1.5)
    }
    for weights in ["a", "b", "c"] { try EvaluationLog.add(record(weights), run: folder.path) }
    let path = folder.path + "/" + EvaluationLog.name
    let text = String(decoding: try Files.contents(of: path), as: UTF8.self)
    try folder.write(
      text.replacing("\"nats\":8", with: "\"nats\":9", maxReplacements: 1),
      to: EvaluationLog.name)
    #expect(throws: LogDamage.self) { try EvaluationLog.read(run: folder.path) }
    var told: [String] = []
    try EvaluationLog.add(record("d"), run: folder.path) { told.append($0) }
    #expect(told.count == 1 && told[0].contains("line 1"))
    let records = try EvaluationLog.read(run: folder.path)
    #expect(records.map(\.weightsSHA256) == ["b", "c", "d"])
    #expect(records.allSatisfy { $0.tally.nats == 8 })
  }

  /// A place that was changed leads nowhere, not to other shards.
  @Test func theNoteOfTheDataIsCovered() throws {
    try withTemporaryDirectory { directory in
      let (data, run) = try Self.run(directory)
      #expect(throws: TrainingError.self) { try RunData.find(run: run) }
      try RunData(run: run, dataSet: data).write(to: run)
      #expect(try Files.identity(of: RunData.find(run: run)) == Files.identity(of: data.directory))
      let file = run + "/" + RunData.name
      let bytes = try Files.contents(of: file)
      for position in stride(from: 0, to: bytes.count, by: 7) {
        var flipped = bytes
        flipped[position] ^= 1
        try Self.overwrite(file, flipped)
        #expect(throws: TrainingError.self) { try RunData.find(run: run) }
        #expect(try RunVerification(run).run().filter { !$0.isGood }.map(\.path) == [file])
      }
    }
  }
}
