import Foundation
import Storage

/// A folder of one test, removed with the last reference.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "tokenize-tests-" + UUID().uuidString
    try Files.createDirectory(path)
  }

  deinit { try? Files.remove(path) }

  /// Writes a file, with the folders above it, and returns its path.
  @discardableResult
  func write(_ bytes: [UInt8], to name: String) throws -> String {
    let file = path + "/" + name
    try Files.createDirectory(Files.parent(of: file))
    let writer = try FileWriter(path: file)
    try writer.append(bytes)
    try writer.finish()
    return file
  }

  @discardableResult
  func write(_ text: String, to name: String) throws -> String {
    try write(Array(text.utf8), to: name)
  }

  /// All files of a folder, by name.
  func contents(of folder: String) throws -> [String: [UInt8]] {
    var contents: [String: [UInt8]] = [:]
    for name in try Files.entries(of: path + "/" + folder) {
      contents[name] = try Files.contents(of: path + "/" + folder + "/" + name)
    }
    return contents
  }
}
