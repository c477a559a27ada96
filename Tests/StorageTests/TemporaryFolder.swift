import Foundation
import Storage

/// A folder of one test, removed with the last reference.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "storage-tests-" + UUID().uuidString
    try Files.createDirectory(path)
  }

  deinit { try? Files.remove(path) }
}
