import Foundation
import Synchronization

/// Names for work in progress: hidden, beside the target, and never used twice.
enum Partial {
  private static let counter = Atomic<Int>(0)

  /// `.NAME.partial-PID-N` in the folder of the target, so that a rename stays on one disk.
  static func sibling(of target: String) -> String {
    let number = counter.wrappingAdd(1, ordering: .relaxed).oldValue
    let name = prefix(of: target) + "\(getpid())-\(number)"
    return Files.parent(of: target) + "/" + name
  }

  static func prefix(of target: String) -> String {
    "." + Files.name(of: target) + ".partial-"
  }
}

/// Files that are seen whole or not at all, whenever the power fails.
package enum AtomicFile {
  /// Writes a file beside its target, flushes it, and puts it in the place of the target.
  package static func write(
    _ bytes: UnsafeRawBufferPointer, to path: String
  ) throws(StorageError) {
    let temporary = Partial.sibling(of: path)
    do {
      let writer = try FileWriter(path: temporary)
      try writer.append(bytes)
      try writer.finish()
      try Files.rename(temporary, to: path)
    } catch {
      // The first error says what went wrong; failing to tidy up would hide it.
      unlink(temporary)
      throw error
    }
  }

  /// Writes a file beside its target, flushes it, and puts it in the place of the target.
  package static func write(_ bytes: [UInt8], to path: String) throws(StorageError) {
    try bytes.span.withUnsafeBytes { (bytes) throws(StorageError) in try write(bytes, to: path) }
  }
}

/// A folder written beside its target and put in its place once complete.
///
/// Write files under `path`, then call `commit`. Without a commit the folder is removed when the
/// last reference goes.
package final class AtomicDirectory {
  /// Where the folder will be.
  package let target: String

  /// Where it is until `commit`.
  package let path: String
  private var isPending = true

  /// Creates the temporary folder beside the target, and the folders above it.
  package init(target: String) throws(StorageError) {
    self.target = target
    path = Partial.sibling(of: target)
    try Files.createDirectory(Files.parent(of: target))
    if mkdir(path, 0o777) != 0 { throw .last("create the folder", path) }
  }

  deinit {
    // Nobody is left to hear of a failure; what remains is recognisable by its name.
    if isPending { try? Files.remove(path) }
  }

  /// Flushes every file and the folder, and gives it its final name.
  ///
  /// - Parameter replacing: Whether a folder of that name may be replaced; the old one keeps its
  ///   name until the new one is flushed, and is removed last.
  package func commit(replacing: Bool = false) throws(StorageError) {
    precondition(isPending, "\(target) was committed or discarded before")
    try Files.synchronizeTree(path)
    guard Files.exists(target) else {
      try Files.rename(path, to: target)
      isPending = false
      return
    }
    guard replacing else { throw .exists(path: target) }
    let old = Partial.sibling(of: target)
    try Files.rename(target, to: old)
    do {
      try Files.rename(path, to: target)
    } catch {
      try? Files.rename(old, to: target)
      throw error
    }
    isPending = false
    try Files.remove(old)
  }

  /// Removes the temporary folder.
  package func discard() throws(StorageError) {
    guard isPending else { return }
    isPending = false
    try Files.remove(path)
  }

  /// Removes what processes that no longer run have left beside a target.
  ///
  /// - Returns: The paths removed.
  @discardableResult
  package static func removeAbandoned(besides target: String) throws(StorageError) -> [String] {
    let folder = Files.parent(of: target)
    guard Files.isDirectory(folder) else { return [] }
    let prefix = Partial.prefix(of: target)
    var removed: [String] = []
    for name in try Files.entries(of: folder) where name.hasPrefix(prefix) {
      let process = name.dropFirst(prefix.count).prefix { $0 != "-" }
      guard let number = Int32(process), kill(number, 0) != 0, errno == ESRCH else { continue }
      try Files.remove(folder + "/" + name)
      removed.append(folder + "/" + name)
    }
    return removed
  }
}
