import Foundation
import Synchronization

/// Threads that compile, so that a program may end while they do.
///
/// At its end a process takes the compiler's own data apart; a thread that still works on it would crash,
/// and the exit code would be that of the crash.
enum CompilingThreads {
  private static let running = Atomic<Int>(0)

  /// Called before a thread begins.
  static func begin() {
    running.wrappingAdd(1, ordering: .relaxed)
    _ = leavesAtOnce
  }

  /// Called when it has ended.
  static func end() { running.wrappingSubtract(1, ordering: .relaxed) }

  /// Handlers are called last in, first out: this one before those of the compiler, which is open.
  private static let leavesAtOnce: Void = {
    on_exit(
      { status, _ in
        guard CompilingThreads.running.load(ordering: .relaxed) > 0 else { return }
        fflush(nil)
        _exit(status)
      }, nil)
  }()
}
