import Foundation
import Storage

/// A folder of one test, removed with the last reference.
package final class TemporaryFolder {
  package let path: String

  package init() throws {
    path = Self.parent + "/billion-word-tests-\(UUID().uuidString)"
    try Files.createDirectory(path)
  }

  deinit { try? Files.remove(path) }

  /// In memory where there is room: tests flush thousands of small files, and a busy disk would
  /// turn seconds into minutes.
  private static let parent: String = {
    let memory = "/dev/shm"
    var status = statvfs()
    let isRoomy =
      statvfs(memory, &status) == 0 && UInt64(status.f_bavail) * UInt64(status.f_frsize) > 1 << 30
      && access(memory, W_OK) == 0
    return isRoomy ? memory : NSTemporaryDirectory()
  }()

  /// Writes a file, with the folders above it, and returns its path.
  @discardableResult
  package func write(_ bytes: [UInt8], to name: String) throws -> String {
    let file = path + "/" + name
    try Files.createDirectory(Files.parent(of: file))
    let writer = try FileWriter(path: file)
    try writer.append(bytes)
    try writer.finish()
    return file
  }

  /// Writes a text file and returns its path.
  @discardableResult
  package func write(_ text: String, to name: String) throws -> String {
    try write(Array(text.utf8), to: name)
  }

  /// All files of a folder, by name.
  package func contents(of folder: String) throws -> [String: [UInt8]] {
    var contents: [String: [UInt8]] = [:]
    for name in try Files.entries(of: path + "/" + folder) {
      contents[name] = try Files.contents(of: path + "/" + folder + "/" + name)
    }
    return contents
  }
}

/// Runs a body with an empty folder that is removed afterwards.
package func withTemporaryDirectory<T>(_ body: (String) throws -> T) throws -> T {
  let folder = try TemporaryFolder()
  return try withExtendedLifetime(folder) { try body(folder.path) }
}
