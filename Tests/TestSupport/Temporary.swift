import Foundation
import Storage

/// Runs a body with an empty folder that is removed afterwards.
package func withTemporaryDirectory<T>(_ body: (String) throws -> T) throws -> T {
  let path = NSTemporaryDirectory() + "/billion-word-tests-\(UUID().uuidString)"
  try Files.createDirectory(path)
  defer { try? Files.remove(path) }
  return try body(path)
}
