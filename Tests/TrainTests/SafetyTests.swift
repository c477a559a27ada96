import Foundation
import Host
import LMData
import Model
import Storage
import Tensor
import TestSupport
import Testing
import Train

/// Losses and gradients that are not finite never reach the weights; spikes are told, or undone.
@Suite(.serialized) struct SafetyTests {
  private static func config() -> RunConfig {
    var model = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 24, layers: 1, heads: 3, hidden: 40)
    model.initialDeviation = 0.1
    var config = RunConfig(
      preset: "test", model: model, steps: 24, batchTokens: 200,
      schedule: .warmupStableDecay(warmup: 4, decay: 0.5))
    config.optimizer.rate = 1e-2
    config.dropout = 0.1
    config.report.logEvery = 5
    config.report.validateEvery = 0
    config.report.checkpointEvery = 8
    return config
  }

  /// Places of the first `count` batches, which faults are tied to.
  private static func places(_ config: RunConfig, _ data: DataSet, count: Int) throws -> [Cursor] {
    let source = try TrainingSource(
      dataSet: data, split: "train", seed: config.seed, mode: .sentences,
      budget: config.batchTokens, cursor: Cursor())
    var places = [Cursor()]
    while places.count < count { places.append(try source.next().cursorAfter) }
    return places
  }

  private static func incidents(_ run: String) throws -> [Incident] {
    guard Files.exists(run + "/incidents.jsonl") else { return [] }
    return try Files.contents(of: run + "/incidents.jsonl").split(separator: 10).map {
      try JSONDecoder().decode(Incident.self, from: Data($0))
    }
  }

  private enum Fault: CaseIterable { case loss, gradient, infinity }

  private static func breakStep(_ fault: Fault, _ gradients: Parameters, _ nats: inout Double) {
    switch fault {
    case .loss: nats = .nan
    case .gradient: gradients.layers[0].down.base[7] = .nan
    case .infinity: gradients.embedding.base[3] = -.infinity
    }
  }

  @Test(arguments: [0, 1, 2]) func badStepsAreSkippedAndChangeNoWeight(fault: Int) throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let config = Self.config()
      let places = try Self.places(config, data, count: 24)
      let run = directory + "/run"
      let trainer = try tinyTrainer(config, data, run: run)
      var events: [Incident] = []
      trainer.report = { if case .incident(let incident) = $0 { events.append(incident) } }
      var before: [Float] = []
      let bad = [3, 4, 11]
      trainer.fault = { cursor, gradients, nats in
        if trainer.step > 0, bad.contains(trainer.step) {
          // Step `trainer.step` was bad: what is here now is what was here before it.
          #expect(trainer.weights.all.elements == before)
        }
        before = trainer.weights.all.elements
        if bad.contains(trainer.step + 1) {
          Self.breakStep(Fault.allCases[fault], gradients, &nats)
        }
      }
      #expect(try trainer.train() == .finished)
      let areFinite = trainer.weights.all.elements.allSatisfy { $0.isFinite }
      #expect(areFinite)
      #expect(events.map(\.step) == bad && events.allSatisfy { $0.kind == .skipped })
      #expect(try Self.incidents(run) == events)
      for event in events {
        #expect(event.cursor == places[event.step - 1])
        #expect(event.tokens > 0 && event.tensors?.isEmpty == false)
        #expect(event.description.contains("shard \(event.cursor.shard)"))
      }
      let worst = try #require(events[0].tensors?.first)
      switch Fault.allCases[fault] {
      case .loss: #expect(worst.notFinite == 0 && events[0].natsPerToken == nil)
      case .gradient: #expect(worst.notFinite == 1 && worst.name.hasSuffix("down_proj.weight"))
      case .infinity: #expect(worst.notFinite == 1 && worst.name == "model.embed_tokens.weight")
      }
      let state = try JSONFile.read(
        TrainState.self, from: run + "/" + CheckpointFolder.name(step: 24) + "/state.json")
      #expect(state.safety?.skipped == 3 && state.safety?.skippedInARow == 0)
    }
  }

  /// The faults are part of the data: an interrupted run meets the same ones.
  @Test func resumingWithSkipsChangesNoBit() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      let config = Self.config()
      let places = try Self.places(config, data, count: 24)
      let bad = [2, 3, 9, 10, 17].map { places[$0] }
      func train(_ run: String, stops: [Int]) throws -> [Float] {
        for (index, stop) in (stops + [0]).enumerated() {
          let trainer = try tinyTrainer(config, data, run: run, resume: index > 0)
          trainer.fault = { cursor, _, nats in if bad.contains(cursor) { nats = .infinity } }
          trainer.shouldStop = { trainer.step == stop }
          if try trainer.train() == .finished { return trainer.weights.all.elements }
        }
        return []
      }
      let whole = try train(directory + "/whole", stops: [])
      #expect(try train(directory + "/parts", stops: [3, 10, 11, 20]) == whole)
      let logs = try ["/whole", "/parts"].map {
        try Files.contents(of: directory + $0 + "/incidents.jsonl")
      }
      #expect(logs[0] == logs[1])
    }
  }

  @Test func tooManySkipsInARowStopTheRun() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.safety.skipBudget = 3
      let run = directory + "/run"
      let trainer = try tinyTrainer(config, data, run: run)
      trainer.fault = { _, _, nats in if trainer.step >= 9 { nats = .nan } }
      let error = #expect(throws: TrainingError.self) { try trainer.train() }
      guard case .diverged(let incident, inARow: 4) = error else {
        Issue.record("expected a divergence, found \(String(describing: error))")
        return
      }
      #expect(incident.step == 13)
      #expect(error?.description.contains("4 steps in a row") == true)
      // The last good checkpoint is whole, and the run goes on from it once the fault is gone.
      try CheckpointFolder.verify(run + "/" + CheckpointFolder.name(step: 8))
      let resumed = try tinyTrainer(config, data, run: run, resume: true)
      #expect(resumed.step == 8)
      #expect(try resumed.train() == .finished)
    }
  }

  /// Checkpoints of a run in trouble do not push out those from before it.
  @Test func skipsRemoveNoCheckpoint() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.safety.skipBudget = 6
      config.report.checkpointEvery = 1
      config.report.keepLast = 2
      let run = directory + "/run"
      let trainer = try tinyTrainer(config, data, run: run)
      trainer.fault = { _, _, nats in if trainer.step >= 9 { nats = .nan } }
      #expect(throws: TrainingError.self) { try trainer.train() }
      #expect(CheckpointFolder.steps(ofRun: run) == [8, 9, 10, 11, 12, 13, 14, 15])
      // Once the trouble is over they are counted as ever.
      let resumed = try tinyTrainer(config, data, run: run, resume: true)
      #expect(try resumed.train() == .finished)
      #expect(CheckpointFolder.steps(ofRun: run) == [23, 24])
    }
  }

  /// A perplexity beyond all numbers is no reason to stop, nor one that would be lost by resuming.
  @Test func perplexitiesMayBeInfinite() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.steps = 12
      config.optimizer.rate = 300
      config.optimizer.clipNorm = 0
      config.report.logEvery = 1
      config.report.validateEvery = 4
      let run = directory + "/run"
      var outcome: TrainingOutcome?
      do {
        outcome = try tinyTrainer(config, data, run: run).train()
      } catch let error as TrainingError {
        guard case .diverged = error else { throw error }
      }
      let lines = try Files.contents(of: run + "/" + MetricsLog.name).split(separator: 10)
      let metrics = try lines.map { try JSONDecoder().decode(Metrics.self, from: Data($0)) }
      #expect(metrics.contains { $0.wordPerplexity == .infinity }, "\(metrics)")
      #expect(metrics.allSatisfy { $0.natsPerToken.isFinite })
      #expect(lines.contains { !String(decoding: $0, as: UTF8.self).contains("wordPerplexity") })
      _ = try MetricsLog(run: run, keepingUpTo: config.steps)
      #expect(try Files.contents(of: run + "/" + MetricsLog.name).split(separator: 10) == lines)
      #expect(outcome == .finished || metrics.count > 2)
    }
  }

  @Test func aSpikeIsToldAndTheStepTaken() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.steps = 70
      config.report.checkpointEvery = 20
      let trainer = try tinyTrainer(config, data, run: directory + "/run")
      var events: [Incident] = []
      trainer.report = { if case .incident(let incident) = $0 { events.append(incident) } }
      trainer.fault = { _, _, nats in if trainer.step + 1 == 60 { nats *= 20 } }
      #expect(try trainer.train() == .finished)
      #expect(events.map(\.kind) == [.spike] && events[0].step == 60)
      #expect((events[0].natsPerToken ?? 0) > (events[0].threshold ?? .infinity))
    }
  }

  /// Going back takes the weights of the checkpoint and the data after the spike, and a run that is
  /// interrupted before or after ends with the same bits.
  @Test func aSpikeIsUndone() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = Self.config()
      config.steps = 70
      config.safety.rewind = true
      config.report.checkpointEvery = 20
      config.report.keepLast = 1
      let places = try Self.places(config, data, count: 90)
      let bad = places[56]
      func train(_ run: String, stops: [Int]) throws -> Trainer? {
        for (index, stop) in (stops + [0]).enumerated() {
          let trainer = try tinyTrainer(config, data, run: run, resume: index > 0)
          trainer.fault = { cursor, _, nats in if cursor == bad { nats *= 20 } }
          trainer.shouldStop = { trainer.step == stop }
          if try trainer.train() == .finished { return trainer }
        }
        return nil
      }
      let whole = try #require(try train(directory + "/whole", stops: []))
      let incidents = try Self.incidents(directory + "/whole")
      #expect(incidents.map(\.kind) == [.rewind])
      #expect(incidents.first?.step == 57 && incidents.first?.target == 40)
      // 30 steps from 40 on, with the data after batch 57: batches 41 to 57 were passed over.
      let state = try JSONFile.read(
        TrainState.self,
        from: directory + "/whole/" + CheckpointFolder.name(step: 70) + "/state.json")
      #expect(state.cursor == places[87] && state.safety?.rewinds == 1)
      let parts = try #require(try train(directory + "/parts", stops: [45, 56, 43, 60]))
      #expect(parts.weights.all.elements == whole.weights.all.elements)
      #expect(try Self.incidents(directory + "/parts") == incidents)
    }
  }

  @Test func theDetectorWaitsAndForgivesNoise() {
    var losses = LossStatistics()
    for step in 0..<49 { losses.observe(5 - Double(step) / 20, deviations: 8) }
    #expect(losses.threshold(deviations: 8) == nil)
    for step in 0..<400 { losses.observe(3 + 0.1 * sin(Double(step) * 2.7), deviations: 8) }
    let threshold = losses.threshold(deviations: 8) ?? 0
    #expect(threshold > 3.3 && threshold < 4.5, "\(threshold)")
    #expect(losses.threshold(deviations: 0) == nil)
    // A spike is not taken for the new normal.
    losses.observe(1e9, deviations: 8)
    #expect((losses.threshold(deviations: 8) ?? 0) < 5)
  }

  @Test func configurationsOfBeforeAreRead() throws {
    let config = Self.config()
    let bytes = try JSONFile.encode(config)
    var fields = try #require(
      JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    #expect(fields.removeValue(forKey: "safety") != nil)
    let old = try JSONSerialization.data(withJSONObject: fields)
    #expect(try JSONFile.decode(RunConfig.self, from: Array(old), path: "old") == config)
  }
}
