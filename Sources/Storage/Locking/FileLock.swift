import Foundation

/// A lock that one process at a time holds, as a file that says who.
///
/// Two things exclude others: the file is there, and the system holds a lock (`flock`) on it, which
/// ends with the process whatever becomes of it. The system decides among processes of one machine,
/// in containers too, and on network disks that carry locks: who gets its lock on a file that names
/// a process of this machine knows that this process has ended. The file decides among machines
/// where the disk carries no locks: one that names another machine is never taken over.
///
/// The file comes into its place with all it says and locked already, by `link`, which fails if
/// something is there; it is taken over by `rename`, by whoever holds the system's lock on the old
/// one. So two that begin at the same moment never both have it.
package final class FileLock {
  private let subject: String
  private let path: String
  private var file: Descriptor
  private var folders: [String]
  private var isHeld = true

  /// How often a lock in use is tried, with 20 ms in between: a holder may be just leaving, or just
  /// taking the place of one that has died.
  private static let leastTries = 5

  /// Takes the lock; folders above the file are made, and go again with the lock if they are empty.
  ///
  /// - Parameters:
  ///   - subject: What is locked, for messages.
  ///   - path: The lock file.
  ///   - seconds: How long to wait for a holder.
  /// - Throws: `LockError.held` if another has it.
  package init(of subject: String, at path: String, waiting seconds: Double = 0) throws(LockError) {
    self.subject = subject
    self.path = path
    do {
      folders = try Self.createFolders(Files.parent(of: path))
    } catch {
      throw .storage(error)
    }
    do throws(LockError) {
      file = try Self.acquire(subject, path, tries: Self.leastTries + Int(seconds * 50))
    } catch {
      Self.removeIfEmpty(folders)
      throw error
    }
    // A process that ends in the middle takes it along.
    Unfinished.begin(path, target: path)
    // What was killed while it took the lock.
    _ = try? AtomicDirectory.removeAbandoned(besides: path)
  }

  deinit { release() }

  /// Gives the lock back; nothing of it stays.
  package func release() {
    guard isHeld else { return }
    isHeld = false
    Unfinished.end(path)
    // The file first: nobody may find it free and say that it is held.
    if Self.isAt(path, file) { unlink(path) }
    try? file.close()
    Self.removeIfEmpty(folders)
  }

  /// Throws if somebody has removed the file and another process has taken its place.
  package func confirm() throws(LockError) {
    guard isHeld, !Self.isAt(path, file) else { return }
    var status = stat()
    // A disk that does not answer now is no reason to give up a lock.
    if stat(path, &status) != 0, errno != ENOENT { return }
    file = try Self.acquire(subject, path, tries: Self.leastTries)
  }

  // MARK: Acquiring

  private static func acquire(
    _ subject: String, _ path: String, tries: Int
  ) throws(LockError) -> Descriptor {
    let temporary = Leftover.sibling(of: path, .partial)
    defer { unlink(temporary) }
    let own: Descriptor
    let holder = LockHolder.current
    do {
      own = try Descriptor(creatingNew: temporary)
      let bytes = try JSONFile.encode(holder, path: path)
      try bytes.span.withUnsafeBytes { (bytes) throws(StorageError) in try own.write(bytes) }
      try own.synchronize()
    } catch StorageError.system(_, let doing, let code) {
      // The name of the lock says more than that of the temporary file.
      throw .storage(.system(path: path, doing: doing, code: code))
    } catch {
      throw .storage(error)
    }
    // Nobody else knows the file: this fails only where the disk has no such locks.
    _ = flock(own.number, LOCK_EX | LOCK_NB)
    var found: LockHolder?
    for attempt in 0..<tries {
      if attempt > 0 { usleep(20_000) }
      if link(temporary, path) == 0 { return own }
      if errno != EEXIST {
        // A disk without hard links: an empty file to be taken over, if nothing is there.
        guard errno != ENOENT, errno != ENOSPC, errno != EDQUOT, errno != EACCES, errno != EROFS
        else { throw .storage(.last("create", path)) }
        let created = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
        if created >= 0 { close(created) }
      }
      let old: Descriptor
      do {
        old = try Descriptor(locking: path)
      } catch StorageError.system(_, _, ENOENT) {
        continue
      } catch {
        throw .storage(error)
      }
      let isFree = flock(old.number, LOCK_EX | LOCK_NB) == 0
      // Meanwhile another may have put its own file there.
      guard isAt(path, old) else { continue }
      found = try? JSONFile.decode(LockHolder.self, from: contents(of: old), path: path)
      guard isFree else { continue }
      if let found, !found.isOnSameMachine(as: holder) { break }
      // It has ended without leaving. Others that have seen it wait for the lock on its file.
      if rename(temporary, path) != 0 { throw .storage(.last("create", path)) }
      return own
    }
    throw .held(subject: subject, path: path, holder: found)
  }

  private static func contents(of file: Descriptor) throws(StorageError) -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 4_096)
    let count = try file.read(into: &buffer)
    return Array(buffer[..<count])
  }

  /// Whether a path still leads to an open file.
  private static func isAt(_ path: String, _ file: Descriptor) -> Bool {
    var (here, there) = (stat(), stat())
    return fstat(file.number, &here) == 0 && stat(path, &there) == 0
      && here.st_ino == there.st_ino && here.st_dev == there.st_dev
  }

  // MARK: Folders

  /// Makes a folder and those above it, and returns those that were not there, the outermost first.
  private static func createFolders(_ path: String) throws(StorageError) -> [String] {
    var missing: [String] = []
    var folder = path
    while !Files.isDirectory(folder), folder != Files.parent(of: folder) {
      missing.append(folder)
      folder = Files.parent(of: folder)
    }
    do {
      try Files.createDirectory(path)
    } catch {
      removeIfEmpty(missing.reversed())
      throw error
    }
    return missing.reversed()
  }

  private static func removeIfEmpty(_ folders: [String]) {
    for folder in folders.reversed() { rmdir(folder) }
  }
}
