import LMData
import Storage
import TestSupport
import Testing

@Suite struct TrainingSourceTests {
  // Every sentence is told apart by its first ids; an empty shard stands among the others.
  private static let shards: [[[Int32]]] = [
    makeSentences(makeLengths(40, longest: 12, seed: 1), seed: 11), [],
    makeSentences([3], seed: 12),
    makeSentences(makeLengths(25, longest: 12, seed: 2) + [90], seed: 13),
  ]
  private let folder: TemporaryFolder
  private let set: DataSet

  init() throws {
    folder = try TemporaryFolder()
    try writeDataSet(Self.shards, to: folder.path)
    set = try DataSet(directory: folder.path)
  }

  private func source(
    seed: UInt64 = 5, _ mode: SequenceMode, budget: Int, cursor: Cursor = Cursor()
  ) throws -> TrainingSource {
    try TrainingSource(
      dataSet: set, split: "train", seed: seed, mode: mode, budget: budget, cursor: cursor)
  }

  /// The target sequences of one whole epoch, which must not share a batch with the next.
  private func epoch(_ number: Int, seed: UInt64, _ mode: SequenceMode) throws -> [[Int32]] {
    let source = try source(seed: seed, mode, budget: 1, cursor: Cursor(epoch: number))
    var sequences: [[Int32]] = []
    while source.cursor.epoch == number {
      let batch = try source.next().batch
      #expect(batch.sequences == 1)
      sequences.append(Array(batch.targets))
    }
    return sequences
  }

  @Test func anEpochIsAPermutationOfTheSentences() throws {
    let expected = Self.shards.flatMap { $0.map { $0 + [eos] } }
    let first = try epoch(0, seed: 5, .sentences)
    let second = try epoch(1, seed: 5, .sentences)
    let other = try epoch(0, seed: 6, .sentences)
    for sequences in [first, second, other] {
      #expect(sequences != expected)
      #expect(sequences.sorted(by: before) == expected.sorted(by: before))
    }
    #expect(first != second)
    #expect(first != other)
    #expect(try epoch(0, seed: 5, .sentences) == first)
  }

  @Test(arguments: [1, 2, 7, 64, 1000])
  func anEpochOfWindowsPredictsEveryTargetOnce(length: Int) throws {
    let sequences = try epoch(0, seed: 5, .stream(length: length))
    let streams = Self.shards.map { stream(of: $0) }
    let expected = streams.flatMap { ids in
      stride(from: 0, to: ids.count, by: length).map {
        Array(ids[$0..<min($0 + length, ids.count)])
      }
    }
    #expect(sequences.sorted(by: before) == expected.sorted(by: before))
  }

  @Test func windowsReadTheTokenBeforeThem() throws {
    let source = try source(.stream(length: 8), budget: 1)
    let streams = Self.shards.map { stream(of: $0) }
    while source.cursor.epoch == 0 {
      let batch = try source.next().batch
      let found = streams.contains { ids in
        stride(from: 0, to: ids.count, by: 8).contains { start in
          let previous = start == 0 ? bos : ids[start - 1]
          let end = min(start + 8, ids.count)
          return batch.targets == Array(ids[start..<end])
            && batch.ids == [previous] + ids[start..<end - 1]
        }
      }
      #expect(found)
    }
  }

  @Test func sentencesReadBeginOfSentenceFirst() throws {
    let source = try source(.sentences, budget: 30)
    for _ in 0..<50 {
      let batch = try source.next().batch
      for sequence in 0..<batch.sequences {
        let inputs = Array(batch.inputs(of: sequence))
        let targets = Array(batch.targets(of: sequence))
        #expect(inputs == [bos] + targets.dropLast())
        #expect(targets.last == eos)
        #expect(!targets.dropLast().contains(eos))
      }
    }
  }

  @Test(arguments: [1, 13, 14, 40, 10_000])
  func batchesAreFullAndKeepTheBudget(budget: Int) throws {
    let source = try source(.sentences, budget: budget)
    let order = try (0..<3).flatMap { try epoch($0, seed: 5, .sentences) }
    var taken = 0
    while taken < order.count / 2 {
      let batch = try source.next().batch
      #expect(batch.positions <= budget || batch.sequences == 1)
      for sequence in 0..<batch.sequences where taken + sequence < order.count {
        #expect(Array(batch.targets(of: sequence)) == order[taken + sequence])
      }
      taken += batch.sequences
      if taken < order.count {
        #expect(batch.positions + order[taken].count > budget)
      }
    }
  }

  @Test(arguments: [SequenceMode.sentences, .stream(length: 9)])
  func everyCursorResumesTheSameBatches(mode: SequenceMode) throws {
    let whole = try source(mode, budget: 25)
    var batches: [(batch: Batch, cursorAfter: Cursor)] = []
    while whole.cursor.epoch < 2 { batches.append(try whole.next()) }
    for start in 0..<batches.count {
      let cursor = start == 0 ? Cursor() : batches[start - 1].cursorAfter
      let resumed = try source(mode, budget: 25, cursor: cursor)
      for expected in batches[start..<min(start + 6, batches.count)] {
        let found = try resumed.next()
        #expect(found.batch == expected.batch)
        #expect(found.cursorAfter == expected.cursorAfter)
      }
    }
  }

  @Test func cursorsOfAnotherDataSetAreRefused() throws {
    for cursor in [
      Cursor(epoch: -1), Cursor(shard: 5), Cursor(shard: -1), Cursor(sentence: 1000),
      Cursor(sentence: -1), Cursor(shard: 4, sentence: 1),
    ] {
      let error = #expect(throws: DataSetError.self) {
        try source(.sentences, budget: 10, cursor: cursor)
      }
      #expect(error?.description.contains("not one of this data set") == true)
    }
    // The end of the last shard is the beginning of the next epoch.
    #expect(
      try source(.sentences, budget: 1, cursor: Cursor(shard: 4)).cursor.epoch == 1)
  }

  @Test func aSplitWithoutSentencesIsRefused() throws {
    let empty = try TemporaryFolder()
    try writeDataSet([[], []], to: empty.path)
    let set = try DataSet(directory: empty.path)
    #expect(throws: DataSetError.self) {
      try TrainingSource(dataSet: set, split: "train", seed: 1, mode: .sentences, budget: 1)
    }
  }

  @Test func aDamagedShardIsNamedAndNothingIsSkipped() throws {
    let source = try source(.sentences, budget: 1_000_000)
    let start = source.cursor
    let path = folder.path + "/train-3.zst"
    var bytes = try Files.contents(of: path)
    bytes[bytes.count / 3] ^= 0x40
    try bytes.write(plainlyTo: path)
    for _ in 0..<2 {
      let error = #expect(throws: ShardError.self) { try source.next() }
      #expect(error?.description.contains(path) == true)
      #expect(source.cursor == start)
    }
  }

  private func before(_ a: [Int32], _ b: [Int32]) -> Bool { a.lexicographicallyPrecedes(b) }
}

@Suite struct EvaluationSourceTests {
  @Test(arguments: [SequenceMode.sentences, .stream(length: 16)], [1, 20, 100_000])
  func everySequenceOnceInOrder(mode: SequenceMode, budget: Int) throws {
    let folder = try TemporaryFolder()
    let shards = [makeSentences(makeLengths(30)), [], makeSentences([0, 50])]
    try writeDataSet(shards, to: folder.path, split: "test")
    let set = try DataSet(directory: folder.path)
    var source = try EvaluationSource(dataSet: set, split: "test", mode: mode, budget: budget)
    var targets: [Int32] = []
    var sequences = 0
    while let batch = try source.nextBatch() {
      #expect(batch.positions <= budget || batch.sequences == 1)
      targets += batch.targets
      sequences += batch.sequences
    }
    #expect(targets == shards.flatMap { stream(of: $0) })
    #expect(sequences == source.sequences)
    if mode == .sentences { #expect(sequences == 32) }
    #expect(source.totals.sentences == 32)
    #expect(try source.nextBatch() == nil)
  }
}
