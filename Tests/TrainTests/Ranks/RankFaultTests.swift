import Backends
import Communication
import LMData
import Model
import Storage
import Synchronization
import Tensor
import TestSupport
import Testing
import Train

/// A machine that computes, keeps or sends something wrong is found and named, and nothing of it is saved.
@Suite(.serialized) struct RankFaultTests {
  /// Trains with a look before every sixth step and a checkpoint after every fourth.
  ///
  /// - Parameters:
  ///   - ranks: How many.
  ///   - prepare: Puts a fault into the trainer of a rank.
  /// - Returns: What every rank ended with, and the steps that were saved.
  private func train(
    ranks: Int,
    around carry: @escaping @Sendable (any Communicator) -> any Communicator = { $0 },
    _ prepare: @escaping @Sendable (Trainer, any Communicator) -> Void
  ) throws -> (errors: [String], steps: [Int]) {
    try withTemporaryDirectory { directory in
      _ = try TinyDataSet.write(to: directory + "/data")
      var config = try RankTests.config("softmax", shares: 4)
      // So wide that every rank has a part of the sum.
      config.model.width = 96
      config.model.hidden = 352
      let errors = try ThreadRanks.run(ranks) { [config] threads in
        let communicator = carry(threads)
        let trainer = try Trainer(
          config: config, on: Backend.ofThisProcessor, with: communicator,
          dataSet: DataSet(directory: directory + "/data"), tokenTable: TinyDataSet.tokenTable,
          tokenizer: TinyDataSet.tokenizer, run: directory + "/run", resume: false)
        trainer.agreementInterval = 6
        prepare(trainer, communicator)
        do {
          _ = try trainer.train()
          return "finished"
        } catch {
          return "\(error)"
        }
      }
      return (errors, CheckpointStore(run: directory + "/run").steps())
    }
  }

  /// Turns the lowest bit of one number.
  private static func flip(_ place: Int, of parameters: Parameters) {
    let part = parameters.all.part(place, count: 1)
    do {
      try parameters.device.withMutableFloats(of: part, reading: [0..<1], writing: [0..<1]) {
        memory in
        let numbers = memory.bindMemory(to: UInt32.self)
        numbers[0] ^= 1
      }
    } catch {
      Issue.record(error)
    }
  }

  @Test func whatIsWholePasses() throws {
    for ranks in [1, 2, 3, 4] {
      let (errors, steps) = try train(ranks: ranks) { _, _ in }
      #expect(errors == Array(repeating: "finished", count: ranks))
      #expect(steps.last == 12)
    }
  }

  @Test(arguments: [(3, 1), (4, 3), (2, 1)]) func oneBitOfTheWeights(ranks: Int, odd: Int) throws {
    let (errors, steps) = try train(ranks: ranks) { trainer, communicator in
      trainer.shouldStop = {
        if communicator.rank == odd, trainer.step == 5 { Self.flip(700, of: trainer.weights) }
        return false
      }
    }
    let expected =
      ranks == 2
      ? "before step 6 ranks 0, 1 of 2 have other weights than one another"
      : "before step 6 rank \(odd) of \(ranks) has other weights than the others"
    for error in errors {
      #expect(error.contains(expected), "\(error)")
      #expect(error.hasSuffix("--resume from step 4"), "\(error)")
    }
    #expect(steps == [4])
  }

  @Test(arguments: [(3, 0), (4, 2)]) func oneBitOfAGradient(ranks: Int, odd: Int) throws {
    let (errors, steps) = try train(ranks: ranks) { trainer, communicator in
      trainer.probeFault = { if communicator.rank == odd { Self.flip(1234, of: $0) } }
    }
    for error in errors {
      #expect(
        error.contains("before step 6 rank \(odd) of \(ranks) has another gradient"),
        "\(error)")
    }
    #expect(steps == [4])
  }

  /// Of two ranks nobody is in the majority, but the one whose bits change from try to try gives itself away.
  @Test(arguments: [true, false]) func oneOfTwo(isSteady: Bool) throws {
    let (errors, _) = try train(ranks: 2) { trainer, communicator in
      let tries = Atomic<Int>(0)
      trainer.probeFault = {
        let number = tries.add(1, ordering: .relaxed).newValue
        if communicator.rank == 1, isSteady || number == 1 { Self.flip(99, of: $0) }
      }
    }
    for error in errors {
      #expect(
        error.contains(
          isSteady
            ? "ranks 0, 1 of 2 have another gradient of the same weights and text than one another"
            : "rank 1 of 2 has another gradient of the same weights and text than the others"),
        "\(error)")
    }
  }

  /// What a rank receives is damaged on the way, which no comparison of gradients sees.
  @Test(arguments: [2, 3, 4]) func oneBitOfASum(ranks: Int) throws {
    let (errors, steps) = try train(ranks: ranks, around: { Noisy($0) }) { trainer, communicator in
      trainer.probeFault = { _ in (communicator as? Noisy)?.startNoise() }
    }
    for error in errors {
      #expect(
        error.contains("before step 6 rank 0 of \(ranks) has a wrong sum of the gradients"),
        "\(error)")
    }
    #expect(steps == [4])
  }
}

/// Turns a bit of the first long message that rank 0 receives once it is told to.
private final class Noisy: Communicator {
  private let quiet: any Communicator
  private let isNoisy = Atomic<Bool>(false)

  init(_ quiet: any Communicator) { self.quiet = quiet }

  var rank: Int { quiet.rank }
  var size: Int { quiet.size }

  func startNoise() { isNoisy.store(true, ordering: .relaxed) }

  func exchange(_ outgoing: Outgoing, into incoming: Incoming) throws(CommunicationError) {
    try quiet.exchange(outgoing, into: incoming)
    guard rank == 0, isNoisy.load(ordering: .relaxed) else { return }
    for (other, part) in incoming.parts.enumerated() where other != rank && part.count > 400 {
      let number = (incoming.base + part.lowerBound + 200).assumingMemoryBound(to: UInt32.self)
      // A high bit, as the sum may round a low one away.
      number.pointee ^= 1 << 20
      isNoisy.store(false, ordering: .relaxed)
      return
    }
  }
}
