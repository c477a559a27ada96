import Dispatch
import Machine
import Synchronization

/// How many threads kernels may use; the only knob, set once at the start of a command.
///
/// Results never depend on it: work is cut into chunks whose boundaries follow from the shapes
/// alone, every chunk is computed by one thread, and partial sums are added in chunk order.
package enum Parallel {
  private static let threadCount = Atomic<Int>(0)

  /// Threads in use; until set, the number of processors this process may use.
  package static var threads: Int {
    get {
      let set = threadCount.load(ordering: .relaxed)
      return set > 0 ? set : processorCount
    }
    set {
      precondition(newValue >= 1, "\(newValue) threads")
      threadCount.store(newValue, ordering: .relaxed)
    }
  }

  /// Processors this process may use at once.
  package static let processorCount = Processors.allowed

  @TaskLocal fileprivate static var inside = false

  /// Runs `body` with all its loops on the calling thread.
  package static func serially(_ body: () throws -> Void) rethrows {
    try $inside.withValue(true, operation: body)
  }
}

/// Runs `body(index)` for every index below `count`, several at a time.
///
/// Calls nest: inside a body, an inner loop runs on the calling thread.
///
/// - Parameters:
///   - count: Number of independent pieces of work; choose it from shapes, never from threads.
///   - file: Where the loop stands, for whoever traces it.
///   - line: And in which line.
///   - body: Must write only what belongs to its index.
package func parallelFor(
  _ count: Int, file: StaticString = #fileID, line: Int = #line, _ body: @Sendable (Int) -> Void
) {
  if let trace = LoopTrace.current, !Parallel.inside {
    trace.run(count, place: "\(file):\(line)", body)
    return
  }
  let workers = min(Parallel.threads, count)
  if workers <= 1 || Parallel.inside {
    for index in 0..<count { body(index) }
    return
  }
  // To wake two threads costs less than what they would use up by looking out for the next loop.
  if Parallel.threads > 3, WorkerPool.shared.run(count, helpers: workers - 1, body) { return }
  let next = Atomic<Int>(0)
  DispatchQueue.concurrentPerform(iterations: workers) { _ in
    Parallel.$inside.withValue(true) {
      while true {
        let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
        if index >= count { break }
        body(index)
      }
    }
  }
}

/// Runs the pieces of several jobs as one loop: all of the first job, then all of the next.
///
/// - Parameters:
///   - counts: Pieces of each job.
///   - file: Where the loop stands, for whoever traces it.
///   - line: And in which line.
///   - body: Called with the job and one of its pieces; must write only what belongs to them.
package func parallelFor(
  jobs counts: [Int], file: StaticString = #fileID, line: Int = #line,
  _ body: @Sendable (_ job: Int, _ piece: Int) -> Void
) {
  var ends: [Int] = []
  for count in counts { ends.append((ends.last ?? 0) + count) }
  parallelFor(ends.last ?? 0, file: file, line: line) { [ends] index in
    var job = 0
    while index >= ends[job] { job += 1 }
    body(job, index - (job == 0 ? 0 : ends[job - 1]))
  }
}

/// Runs `body(range)` over `0..<count` cut into pieces of `grain`, the last one shorter.
package func parallelFor(
  _ count: Int, grain: Int, file: StaticString = #fileID, line: Int = #line,
  _ body: @Sendable (Range<Int>) -> Void
) {
  precondition(grain > 0)
  parallelFor((count + grain - 1) / grain, file: file, line: line) { index in
    body(index * grain..<min(count, (index + 1) * grain))
  }
}
