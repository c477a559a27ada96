import LMData
import Model
import TestSupport
import Testing
import Train

/// Which tokens a step's loss normalises over, and when.
@Suite(.serialized) struct SampledSoftmaxTests {
  private static let candidates = SoftmaxCandidates(
    SampledSoftmaxConfig(candidates: 300), vocabularySize: 1_000, seed: 3)

  @Test func candidatesAreTargetsAndASweepOfOthers() {
    let targets: [Int32] = [999, 5, 5, 0, 77]
    var seen = Set<Int32>()
    for step in 1...12 {
      let ids = Self.candidates.ids(step: step, targets: targets)
      #expect(ids.count == 300 && ids == Set(ids).sorted())
      #expect(Set(targets).isSubset(of: ids))
      #expect(ids == Self.candidates.ids(step: step, targets: targets.reversed()))
      #expect(seen.union(ids).count > seen.count || seen.count == 1_000)
      seen.formUnion(ids)
    }
    #expect(seen.count == 1_000)
    let other = SoftmaxCandidates(
      SampledSoftmaxConfig(candidates: 300), vocabularySize: 1_000, seed: 4)
    #expect(other.ids(step: 1, targets: []) != Self.candidates.ids(step: 1, targets: []))
  }

  /// No token is left out for long, and none is preferred.
  @Test func everyTokenHasItsTurn() {
    var counts = Array(repeating: 0, count: 1_000)
    for step in 1...400 {
      for id in Self.candidates.ids(step: step, targets: []) { counts[Int(id)] += 1 }
    }
    #expect(counts.allSatisfy { abs($0 - 120) <= 4 })
  }

  /// A step with more targets than there is room for has them all.
  @Test func ownTargetsAreNeverLeftOut() {
    let targets = (0..<400).map { Int32(2 * $0) }
    #expect(Self.candidates.ids(step: 1, targets: targets) == targets)
  }

  @Test func theEndOfTheRunIsTrainedInFull() {
    var config = RecipeTests.config()
    #expect(config.candidates(step: 1) == nil)
    config.sampledSoftmax = SampledSoftmaxConfig(candidates: 30)
    config.steps = 100
    #expect(config.candidates(step: 85) == 30)
    #expect(config.candidates(step: 86) == nil)
    config.sampledSoftmax?.fullShare = 0
    #expect(config.candidates(step: 100) == 30)
    config.sampledSoftmax?.fullShare = 1
    #expect(config.candidates(step: 1) == nil)
    // Step 90 of a run of 100 is full; of one of 200 it is not.
    config.sampledSoftmax?.fullShare = 0.15
    config.schedule = .inverseSquareRoot(warmup: 1)
    var longer = config
    longer.steps = 200
    #expect(config.difference(from: longer, taken: 85) == nil)
    #expect(config.difference(from: longer, taken: 90) != nil)
  }

  /// Lines of metrics say so, and the larger loss of the full steps is no spike.
  @Test func sampledLossIsCalledThat() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = RecipeTests.config()
      config.steps = 80
      config.optimizer.rate = 1e-4
      config.report.logEvery = 10
      config.sampledSoftmax = SampledSoftmaxConfig(candidates: 48)
      config.sampledSoftmax?.fullShare = 0.25
      config.safety.spikeDeviations = 2
      config.model.initialDeviation = 0.01
      let run = directory + "/run"
      var incidents: [Int] = []
      let trainer = try tinyTrainer(config, data, run: run) {
        if case .incident(let incident) = $0 { incidents.append(incident.step) }
      }
      _ = try trainer.train()
      let lines = try MetricsLog.read(run: run).filter { $0.kind == "train" }
      #expect(lines.map(\.softmaxCandidates) == [48, 48, 48, 48, 48, 48, nil, nil])
      for line in lines {
        #expect(line.wordPerplexity.isFinite == (line.softmaxCandidates == nil))
        // Hardly trained: the logarithm of what the loss normalises over.
        let expected = line.softmaxCandidates == nil ? 4.11 : 3.87
        #expect(abs(line.natsPerToken - expected) < 0.05, "\(line)")
      }
      #expect(!incidents.contains(61), "\(incidents)")
    }
  }

  /// No line is a mean over losses of both kinds, and what is not finished when a run stops goes on.
  @Test func linesAreOfOneKind() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = RecipeTests.config()
      config.steps = 20
      config.report.logEvery = 5
      config.report.checkpointEvery = 0
      config.sampledSoftmax = SampledSoftmaxConfig(candidates: 48)
      func lines(_ run: String, stops: [Int]) throws -> [Metrics] {
        for (index, stop) in (stops + [0]).enumerated() {
          let trainer = try tinyTrainer(config, data, run: run, resume: index > 0)
          trainer.shouldStop = { trainer.step == stop }
          _ = try trainer.train()
        }
        return try MetricsLog.read(run: run).filter { $0.kind == "train" }.map { line in
          var line = line
          (line.trainedSeconds, line.tokensPerSecond) = (0, nil)
          return line
        }
      }
      let whole = try lines(directory + "/whole", stops: [])
      #expect(whole.map(\.step) == [5, 10, 15, 17, 20])
      #expect(whole.map { $0.softmaxCandidates != nil } == [true, true, true, true, false])
      #expect(whole.map(\.wordPerplexity.isFinite) == [false, false, false, false, true])
      // Nothing is lost.
      #expect(whole.reduce(0) { $0 + ($1.tokensCounted ?? 0) } == whole.last?.tokens)
      #expect(try lines(directory + "/parts", stops: [16, 17, 18]) == whole)
    }
  }

  /// A step with more targets than were asked for says how many it had.
  @Test func linesHaveTheCandidatesThatThereWere() throws {
    try withTemporaryDirectory { directory in
      let data = try TinyDataSet.write(to: directory + "/data")
      var config = RecipeTests.config()
      config.steps = 4
      config.batchTokens = 200
      config.report.logEvery = 1
      config.sampledSoftmax = SampledSoftmaxConfig(candidates: 20)
      config.sampledSoftmax?.fullShare = 0
      _ = try tinyTrainer(config, data, run: directory + "/run").train()
      let source = try TrainingSource(
        dataSet: data, split: "train", seed: config.seed, mode: .sentences, budget: 200,
        cursor: Cursor())
      for line in try MetricsLog.read(run: directory + "/run") where line.kind == "train" {
        let targets = Set(try source.next().batch.targets).count
        #expect(targets > 20 && line.softmaxCandidates == targets, "\(line)")
      }
    }
  }
}
