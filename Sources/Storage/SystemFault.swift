import Foundation
import Synchronization

/// Makes calls to the operating system fail, so that tests can see what is left then.
///
/// Nothing but tests arms it; unarmed it costs one relaxed load beside a system call.
package enum SystemFault {
  /// The calls that change what is on the disk.
  package enum Call: String, Sendable, CaseIterable {
    case create, write, flush, close, rename, makeFolder, remove
  }

  private static let isArmed = Atomic<Bool>(false)
  private static let decision = Mutex<(@Sendable (Call, String) -> Int32?)?>(nil)
  private static let turns = NSLock()

  /// Runs a body in which every call is put to `decide` first.
  ///
  /// Calls of all threads are asked about, those of other tests among them: look at the path.
  ///
  /// - Parameters:
  ///   - decide: The `errno` that a call fails with, or nil to let it through.
  ///   - body: What is run.
  package static func during<Result>(
    _ decide: @escaping @Sendable (Call, String) -> Int32?, _ body: () throws -> Result
  ) rethrows -> Result {
    turns.lock()
    decision.withLock { $0 = decide }
    isArmed.store(true, ordering: .sequentiallyConsistent)
    defer {
      isArmed.store(false, ordering: .sequentiallyConsistent)
      decision.withLock { $0 = nil }
      turns.unlock()
    }
    return try body()
  }

  /// The `errno` that this call is to fail with.
  static func code(_ call: Call, _ path: String) -> Int32? {
    guard isArmed.load(ordering: .relaxed) else { return nil }
    return decision.withLock { $0 }?(call, path)
  }

  /// Throws if this call is to fail.
  static func check(_ call: Call, _ path: String, doing: String) throws(StorageError) {
    if let code = code(call, path) { throw .system(path: path, doing: doing, code: code) }
  }
}
