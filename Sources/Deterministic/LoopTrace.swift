import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// How long every piece of every loop takes on one thread: from it follows what more threads would gain.
///
/// A machine with two processors cannot run a step on 64 threads, but it can cut the step as if there
/// were 64 and time every piece alone. While one is under way, `parallelFor` runs all pieces on the calling
/// thread. A piece of work is run several times and the least time of each piece counts, so a busy
/// machine shows little of its other work.
package final class LoopTrace {
  /// One `parallelFor` of the work.
  package struct Loop: Sendable {
    /// Where it stands in the sources: `Module/File.swift:line`.
    package let place: String
    /// Seconds of each piece.
    package fileprivate(set) var pieces: [Double]
    /// Seconds since the loop before, in which one thread works and all others wait.
    package fileprivate(set) var serialBefore: Double

    package init(place: String, pieces: [Double], serialBefore: Double) {
      self.place = place
      self.pieces = pieces
      self.serialBefore = serialBefore
    }
  }

  /// What `parallelFor` records into on the thread that traces; nil everywhere else.
  @inline(__always) static var current: LoopTrace? {
    let tracing = owner.load(ordering: .relaxed)
    return tracing != 0 && tracing == UInt(pthread_self()) ? shared : nil
  }
  /// The thread that traces, or 0.
  private static let owner = Atomic<UInt>(0)
  /// Touched by the owner alone.
  nonisolated(unsafe) private static var shared: LoopTrace?

  package private(set) var loops: [Loop] = []
  /// Seconds after the last loop.
  package private(set) var serialAfter = 0.0
  private var next = 0
  private var isFirst = true
  private var last = 0.0
  private var isInside = false

  private init() {}

  /// Runs `work` `times` times, cut for `threads` threads and on this one alone.
  ///
  /// - Parameters:
  ///   - threads: As many as loops shall be cut for.
  ///   - times: How often; the least time of each piece counts.
  ///   - work: Must run the same loops each time, and all of them on this thread.
  package static func record(
    threads: Int, times: Int, _ work: () throws -> Void
  ) rethrows -> LoopTrace {
    let isFree = owner.compareExchange(
      expected: 0, desired: UInt(pthread_self()), ordering: .acquiring
    ).exchanged
    precondition(isFree, "one trace at a time")
    let trace = LoopTrace()
    let before = Parallel.threads
    Parallel.threads = threads
    shared = trace
    defer {
      shared = nil
      Parallel.threads = before
      owner.store(0, ordering: .releasing)
    }
    for _ in 0..<times {
      trace.next = 0
      trace.last = seconds()
      try work()
      let rest = seconds() - trace.last
      precondition(trace.next == trace.loops.count, "the work ran other loops than before")
      trace.serialAfter = trace.isFirst ? rest : min(rest, trace.serialAfter)
      trace.isFirst = false
    }
    return trace
  }

  /// All pieces of a loop, one after another.
  func run(_ count: Int, place: @autoclosure () -> String, _ body: (Int) -> Void) {
    guard !isInside else {
      for index in 0..<count { body(index) }
      return
    }
    isInside = true
    defer { isInside = false }
    let began = Self.seconds()
    let serial = began - last
    if isFirst {
      loops.append(
        Loop(
          place: place(), pieces: Array(repeating: .infinity, count: count), serialBefore: serial))
    }
    let loop = next
    precondition(
      loop < loops.count && loops[loop].pieces.count == count,
      "the work ran other loops than before")
    next += 1
    loops[loop].serialBefore = min(loops[loop].serialBefore, serial)
    var start = Self.seconds()
    for index in 0..<count {
      body(index)
      let end = Self.seconds()
      loops[loop].pieces[index] = min(loops[loop].pieces[index], end - start)
      start = end
    }
    last = Self.seconds()
  }

  private static func seconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }
}

// MARK: What follows

extension LoopTrace {
  /// Seconds in loops and outside them, by one thread.
  package var seconds: Double {
    serialSeconds + loops.reduce(0) { $0 + $1.pieces.reduce(0, +) }
  }

  /// Seconds outside all loops.
  package var serialSeconds: Double { loops.reduce(serialAfter) { $0 + $1.serialBefore } }

  /// Seconds that so many threads would take which do not disturb each other: memory, caches and the
  /// clock of the processor are as fast for all as for one.
  ///
  /// - Parameters:
  ///   - threads: Their number.
  ///   - wakeup: Seconds until all threads know of a loop, once a loop of several pieces.
  package func seconds(threads: Int, wakeup: Double) -> Double {
    loops.reduce(serialAfter) {
      $0 + $1.serialBefore + $1.seconds(threads: threads, wakeup: wakeup)
    }
  }
}

extension LoopTrace.Loop {
  /// Seconds of the loop on so many threads, each of which takes the next piece when it is done with
  /// its last, as `parallelFor` does.
  package func seconds(threads: Int, wakeup: Double) -> Double {
    guard threads > 1, pieces.count > 1 else { return pieces.reduce(0, +) }
    // The thread that is free first stands at the root of a heap.
    var free = Array(repeating: 0.0, count: min(threads, pieces.count))
    for piece in pieces {
      var place = 0
      let time = free[0] + piece
      while true {
        var child = 2 * place + 1
        guard child < free.count else { break }
        if child + 1 < free.count, free[child + 1] < free[child] { child += 1 }
        guard free[child] < time else { break }
        free[place] = free[child]
        place = child
      }
      free[place] = time
    }
    return wakeup + (free.max() ?? 0)
  }
}
