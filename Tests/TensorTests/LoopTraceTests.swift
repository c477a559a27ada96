import Deterministic
import TestSupport
import Testing

/// What more threads would gain follows from the pieces that one thread ran.
struct LoopTraceTests {
  private typealias Loop = LoopTrace.Loop

  @Test func piecesAreDealtInOrder() {
    let loop = Loop(place: "here", pieces: [3, 1, 1, 1, 2], serialBefore: 0)
    #expect(loop.seconds(threads: 1, wakeup: 0.5) == 8)
    // 3 on one thread, 1, 1, 1 on the other; the first that is free takes 2.
    #expect(loop.seconds(threads: 2, wakeup: 0.5) == 5.5)
    #expect(loop.seconds(threads: 3, wakeup: 0) == 3)
    #expect(loop.seconds(threads: 64, wakeup: 0) == 3)
    #expect(Loop(place: "", pieces: [7], serialBefore: 0).seconds(threads: 8, wakeup: 1) == 7)
    #expect(Loop(place: "", pieces: [], serialBefore: 0).seconds(threads: 8, wakeup: 1) == 0)
  }

  /// The heap of free threads beside a search for the least.
  @Test func manyThreadsAsBySearch() {
    let random = CounterRandom(seed: 4)
    let pieces = (0..<500).map { Double(random.bits(UInt64($0)) % 1_000) }
    for threads in [2, 3, 7, 16, 61] {
      var free = Array(repeating: 0.0, count: threads)
      for piece in pieces {
        let first = free.indices.min { free[$0] < free[$1] } ?? 0
        free[first] += piece
      }
      let loop = Loop(place: "", pieces: pieces, serialBefore: 0)
      #expect(loop.seconds(threads: threads, wakeup: 0) == free.max())
    }
  }

  @Test func outerLoopsAreRecordedAndInnerOnesNot() {
    withThreads(2) {
      let cells = UnsafeMutablePointer<Int>.allocate(capacity: 12)
      cells.initialize(repeating: 0, count: 12)
      defer { cells.deallocate() }
      nonisolated(unsafe) let sums = cells
      var threadsSeen = 0
      let trace = LoopTrace.record(threads: 64, times: 3) {
        threadsSeen = Parallel.threads
        parallelFor(4) { row in
          parallelFor(3, grain: 1) { for column in $0 { sums[3 * row + column] += 1 } }
        }
        Parallel.serially { parallelFor(5) { _ in } }
        parallelFor(7, grain: 2) { _ in }
      }
      #expect(threadsSeen == 64 && Parallel.threads == 2)
      #expect((0..<12).allSatisfy { cells[$0] == 3 })
      #expect(trace.loops.map(\.pieces.count) == [4, 4])
      #expect(trace.loops.allSatisfy { $0.place.hasPrefix("TensorTests/LoopTraceTests.swift:") })
      #expect(trace.loops.allSatisfy { $0.serialBefore >= 0 && $0.pieces.allSatisfy { $0 >= 0 } })
      #expect(trace.seconds >= trace.serialSeconds && trace.serialSeconds >= trace.serialAfter)
    }
  }
}
