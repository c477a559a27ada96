import CProcessor
import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// Threads that take part in one loop after another.
///
/// A step of training has hundreds of loops of some microseconds to milliseconds. After one, the threads
/// look out for the next for some microseconds before they sleep, so that a short serial piece between
/// two loops costs no wake-up. Who comes too late for a loop is not waited for.
final class WorkerPool: @unchecked Sendable {
  static let shared = WorkerPool()

  /// One loop at a time; whoever finds one under way is told so.
  private let isTaken = Atomic<Bool>(false)
  /// The loop at hand: its number, whether it may be joined, by how many at once, and who is in it.
  private let state = Atomic<UInt64>(0)
  private let next = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  /// Written by who has taken the pool, read by those who have joined.
  private var body: (@Sendable (Int) -> Void)?
  private var count = 0
  private var started = 0
  private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
  private let isPublished = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

  private static let open: UInt64 = 1 << 31
  private static let inside: UInt64 = 0xFFFF
  /// Looks at the state before a thread sleeps, of 15 to 60 nanoseconds each.
  private static let patience = 1_000

  private init() {
    pthread_mutex_init(mutex, nil)
    pthread_cond_init(isPublished, nil)
  }

  /// Runs `body(index)` for every index below `count` on this thread and up to `helpers` others.
  ///
  /// - Returns: False, with nothing done, if the threads are in another loop.
  func run(_ count: Int, helpers: Int, _ body: @Sendable (Int) -> Void) -> Bool {
    guard isTaken.compareExchange(expected: false, desired: true, ordering: .acquiring).exchanged
    else { return false }
    defer { isTaken.store(false, ordering: .releasing) }
    let helpers = min(helpers, 0x7FFF)
    startThreads(helpers)
    withoutActuallyEscaping(body) { body in
      self.body = body
      self.count = count
      next.store(0, ordering: .relaxed)
      let number = (state.load(ordering: .relaxed) >> 32) &+ 1
      state.store(
        number << 32 | Self.open | UInt64(helpers) << 16, ordering: .sequentiallyConsistent)
      if sleepers.load(ordering: .sequentiallyConsistent) > 0 {
        pthread_mutex_lock(mutex)
        pthread_cond_broadcast(isPublished)
        pthread_mutex_unlock(mutex)
      }
      Parallel.serially { work() }
      // From here on nobody joins; those inside have their last piece to finish.
      state.bitwiseAnd(~Self.open, ordering: .acquiringAndReleasing)
      var looks = 0
      while state.load(ordering: .acquiring) & Self.inside != 0 {
        looks += 1
        if looks < Self.patience { cp_pause() } else { sched_yield() }
      }
      self.body = nil
    }
    return true
  }

  /// Pieces of the loop at hand, as long as there are any.
  private func work() {
    guard let body else { return }
    let count = count
    while true {
      let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
      if index >= count { return }
      body(index)
    }
  }

  private func startThreads(_ helpers: Int) {
    while started < helpers {
      var thread = pthread_t()
      // A program that may not have so many threads goes on with fewer.
      guard
        pthread_create(
          &thread, nil,
          { _ in
            // Signals are for the threads of the program.
            var all = sigset_t()
            sigfillset(&all)
            pthread_sigmask(SIG_BLOCK, &all, nil)
            Parallel.serially { WorkerPool.shared.serve() }
            return nil
          }, nil) == 0
      else { return }
      pthread_detach(thread)
      started += 1
    }
  }

  /// The life of a thread.
  private func serve() {
    var seen: UInt64 = 0
    while true {
      let found = nextLoop(after: seen)
      guard
        state.compareExchange(
          expected: found, desired: found + 1, ordering: .acquiringAndReleasing
        ).exchanged
      else { continue }
      seen = found >> 32
      work()
      state.subtract(1, ordering: .acquiringAndReleasing)
    }
  }

  /// The state once there is a loop to join that is not the one seen last.
  private func nextLoop(after seen: UInt64) -> UInt64 {
    func mayJoin(_ state: UInt64) -> Bool {
      state & Self.open != 0 && state >> 32 != seen && state & Self.inside < state >> 16 & 0x7FFF
    }
    for _ in 0..<Self.patience {
      let found = state.load(ordering: .acquiring)
      if mayJoin(found) { return found }
      cp_pause()
    }
    sleepers.add(1, ordering: .sequentiallyConsistent)
    pthread_mutex_lock(mutex)
    var found = state.load(ordering: .sequentiallyConsistent)
    while !mayJoin(found) {
      pthread_cond_wait(isPublished, mutex)
      found = state.load(ordering: .sequentiallyConsistent)
    }
    pthread_mutex_unlock(mutex)
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
    return found
  }
}
