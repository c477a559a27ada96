import Foundation

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
    path = Leftover.sibling(of: target, .partial)
    try Files.createDirectory(Files.parent(of: target))
    try SystemFault.check(.makeFolder, path, doing: "create the folder")
    if mkdir(path, 0o777) != 0 { throw .last("create the folder", path) }
    Unfinished.begin(path, target: target)
  }

  deinit {
    // Nobody is left to hear of a failure; what remains is recognisable by its name.
    if isPending { try? Files.remove(path) }
    Unfinished.end(path)
  }

  /// Flushes every file and the folder, and gives it its final name.
  ///
  /// - Parameter replacing: Whether a folder of that name may be replaced; the old one keeps its
  ///   name until the new one is flushed, and is removed last. If the process dies while neither
  ///   has the name, `removeAbandoned` gives it back to the old one.
  package func commit(replacing: Bool = false) throws(StorageError) {
    guard Files.exists(target), replacing else { return try commitToFreePlace() }
    try synchronize()
    if let old = try swap({ _ in true }) { try Files.remove(old) }
  }

  /// Flushes every file and the folder, and gives it its final name.
  ///
  /// Of an old folder only the files that the caller names are removed. An empty one is no obstacle.
  ///
  /// - Parameter names: What stands in the old folder and may be removed; it throws if the old folder
  ///   must stay, which then has its name again. Asked when nobody finds the folder under that name
  ///   any more.
  /// - Returns: Where the old folder is now, if more has come into it even later.
  package func commit(removing names: (_ old: String) throws -> [String]) throws -> String? {
    var status = stat()
    guard stat(target, &status) == 0, try !Files.entries(of: target).isEmpty else {
      try commitToFreePlace()
      return nil
    }
    try synchronize()
    var known: Result<[String], any Error> = .success([])
    let moved = try swap { old in
      known = Result { try names(old) }
      return (try? known.get()) != nil
    }
    guard let old = moved else {
      _ = try known.get()
      return nil
    }
    for name in try known.get() { try Files.remove(old + "/" + name) }
    try SystemFault.check(.remove, old, doing: "remove")
    if rmdir(old) == 0 { return nil }
    if errno != ENOTEMPTY && errno != EEXIST { throw StorageError.last("remove", old) }
    let kept = Self.freeName(beside: target)
    try Files.rename(old, to: kept)
    return kept
  }

  private func commitToFreePlace() throws(StorageError) {
    try synchronize()
    do {
      // The system replaces a folder by another one only if it is empty.
      try Files.rename(path, to: target)
    } catch {
      guard case .system(_, _, let code) = error,
        [ENOTEMPTY, EEXIST, ENOTDIR].contains(code), Files.exists(target)
      else { throw error }
      throw .exists(path: target)
    }
    isPending = false
  }

  private func synchronize() throws(StorageError) {
    precondition(isPending, "\(target) was committed or discarded before")
    try Files.synchronizeTree(path)
  }

  /// Moves the old folder aside and the new one into its place.
  ///
  /// - Parameter mayGo: Whether the old folder, which has this path now, may be replaced.
  /// - Returns: Where the old folder is now; nil if it has its name again.
  private func swap(_ mayGo: (_ old: String) -> Bool) throws(StorageError) -> String? {
    try Unfinished.undisturbed { () throws(StorageError) in
      let old = Leftover.sibling(of: target, .replaced)
      try Files.rename(target, to: old)
      guard mayGo(old) else {
        try Files.rename(old, to: target)
        return nil
      }
      do throws(StorageError) {
        try Files.rename(path, to: target)
      } catch {
        try? Files.rename(old, to: target)
        throw error
      }
      isPending = false
      return old
    }
  }

  private static func freeName(beside target: String) -> String {
    var number = 1
    while true {
      let path = "\(Files.parent(of: target))/\(Files.name(of: target)).kept-\(number)"
      if !Files.exists(path) { return path }
      number += 1
    }
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
    let name = Files.name(of: target)
    return try removeAbandoned(in: Files.parent(of: target)) { $0 == name }
  }

  /// Removes a folder, which is gone at once or not at all.
  ///
  /// It loses its name first: a kill in between leaves what ``removeAbandoned(in:ofTargets:)`` removes, and
  /// no folder of that name with only some of its files.
  package static func remove(_ path: String) throws(StorageError) {
    let unwanted = Leftover.sibling(of: path, .partial)
    try Files.rename(path, to: unwanted)
    try Files.remove(unwanted)
  }

  /// Removes what processes that no longer run have left in a folder.
  ///
  /// An old folder that was being replaced gets its name back if nothing has it now.
  ///
  /// - Parameters:
  ///   - folder: Where to look.
  ///   - isTarget: Whether to look after leftovers of the file or folder of this name.
  /// - Returns: The paths removed.
  @discardableResult
  package static func removeAbandoned(
    in folder: String, ofTargets isTarget: (String) -> Bool
  ) throws(StorageError) -> [String] {
    guard Files.isDirectory(folder) else { return [] }
    var removed: [String] = []
    for name in try Files.entries(of: folder) {
      guard let leftover = Leftover(name: name), isTarget(leftover.target),
        leftover.isAbandoned(folder + "/" + name)
      else { continue }
      let path = folder + "/" + name
      let target = folder + "/" + leftover.target
      if leftover.kind == .replaced && !Files.exists(target) {
        try Files.rename(path, to: target)
      } else {
        try Files.remove(path)
        removed.append(path)
      }
    }
    return removed
  }
}
