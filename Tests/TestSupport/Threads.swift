import Deterministic
import Foundation
import Tensor

/// Runs `body` with a given number of kernel threads and restores the number.
///
/// The number is one for the process and tests run side by side, so changes take turns. Other tests
/// may meanwhile run with it, which is harmless: no result depends on it.
package func withThreads<Result>(_ threads: Int, _ body: () throws -> Result) rethrows -> Result {
  turns.lock()
  let before = Parallel.threads
  Parallel.threads = threads
  defer {
    Parallel.threads = before
    turns.unlock()
  }
  return try body()
}

private let turns = NSRecursiveLock()
