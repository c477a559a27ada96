import Foundation
import Synchronization

/// The temporary files and folders that this process has now, by their paths.
package enum Unfinished {
  private static let targets = Mutex<[String: String]>([:])

  static func begin(_ path: String, target: String) {
    targets.withLock { $0[path] = target }
  }

  static func end(_ path: String) { targets.withLock { $0[path] = nil } }

  /// Runs a body that `remove` may not cut in two, and that makes no temporary file.
  static func undisturbed<Value: Sendable>(
    _ body: () throws(StorageError) -> Value
  ) throws(StorageError) -> Value {
    try targets.withLock { (_) throws(StorageError) in try body() }
  }

  /// Removes all of them, for a process that ends while its threads still work.
  package static func remove() {
    targets.withLock { targets in
      for (path, target) in targets where Files.exists(path) {
        // Threads that go on writing do not find the folder under another name.
        let aside = Leftover.sibling(of: target, .partial)
        guard (try? Files.rename(path, to: aside)) != nil else { continue }
        // A file that was just being created may have come into the folder after it was listed.
        for _ in 0..<3 where (try? Files.remove(aside)) == nil {}
      }
      targets = [:]
    }
  }
}
