import LMData
import Synchronization
import TestSupport
import Testing

@Suite struct PrefetcherTests {
  private struct Failure: Error, Equatable { var number: Int }

  @Test(arguments: 1...4)
  func elementsComeInOrderAndEnd(capacity: Int) throws {
    var next = 0
    let prefetcher = Prefetcher<Int>(capacity: capacity) {
      next += 1
      return next <= 100 ? next : nil
    }
    for expected in 1...100 { #expect(try prefetcher.next() == expected) }
    #expect(try prefetcher.next() == nil)
    #expect(try prefetcher.next() == nil)
  }

  @Test func anErrorComesInItsPlace() throws {
    var next = 0
    let prefetcher = Prefetcher<Int> {
      next += 1
      if next == 4 { throw Failure(number: 4) }
      return next
    }
    for expected in 1...3 { #expect(try prefetcher.next() == expected) }
    #expect(throws: Failure(number: 4)) { try prefetcher.next() }
    #expect(throws: Failure(number: 4)) { try prefetcher.next() }
  }

  @Test(arguments: 1...4)
  func anEarlyDropStopsTheThreadAndMemoryIsBounded(capacity: Int) throws {
    let made = Made()
    do {
      let prefetcher = Prefetcher<Int>(capacity: capacity) {
        made.count.add(1, ordering: .relaxed).newValue
      }
      for expected in 1...10 { #expect(try prefetcher.next() == expected) }
    }
    // The thread is gone: the number stands still and was never far ahead.
    let count = made.count.load(ordering: .relaxed)
    #expect((10...10 + capacity).contains(count))
    #expect(made.count.load(ordering: .relaxed) == count)
  }

  @Test func aPrefetcherThatIsNeverReadEnds() {
    for _ in 0..<20 { _ = Prefetcher<[Int32]> { [1, 2, 3] } }
  }

  @Test func batchesAreThoseOfTheSource() throws {
    let folder = try TemporaryFolder()
    try writeDataSet([makeSentences(makeLengths(200))], to: folder.path)
    let set = try DataSet(directory: folder.path)
    func makeSource() throws -> TrainingSource {
      try TrainingSource(dataSet: set, split: "train", seed: 3, mode: .sentences, budget: 64)
    }
    let plain = try makeSource()
    let source = try makeSource()
    let prefetcher = Prefetcher { try source.next() }
    for _ in 0..<100 {
      let expected = try plain.next()
      let found = try #require(try prefetcher.next())
      #expect(found.batch == expected.batch)
      #expect(found.cursorAfter == expected.cursorAfter)
    }
  }

  private final class Made: Sendable {
    let count = Atomic<Int>(0)
  }
}
