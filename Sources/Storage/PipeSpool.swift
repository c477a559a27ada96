import Foundation
import Synchronization

/// Text from a pipe, kept so that it can be read as often as a file.
///
/// Tokenizers are trained before text is encoded, and several models score one text: what comes from
/// a pipe once is written to a temporary file without a name, which goes with the process.
package enum PipeSpool {
  /// What a user calls standard input.
  package static let standardInput = "-"

  /// What messages call a text.
  package static func name(of path: String) -> String {
    path == standardInput ? "standard input" : path
  }

  private static let kept = Mutex<[String: String]>([:])
  /// One pipe is read at a time, so that none is read by two.
  private static let turns = NSLock()

  /// A path under which the text of `path` can be read from its beginning, again and again.
  ///
  /// A pipe and standard input, named `-` or by its path, are read to their end at the first call, and
  /// every later call has the same answer; anything else is its own path.
  ///
  /// - Throws: `StorageError` if the pipe cannot be read, or not be kept.
  package static func readable(_ path: String) throws(StorageError) -> String {
    turns.lock()
    defer { turns.unlock() }
    let isInput = path == standardInput || standardInputNames.contains(path)
    let key = isInput ? standardInput : path
    if let known = kept.withLock({ $0[key] }) { return known }
    var status = stat()
    // What is not there is reported by whoever opens it.
    guard (isInput ? fstat(STDIN_FILENO, &status) : stat(path, &status)) == 0 else { return path }
    if isInput {
      // A file is opened anew, from its beginning, unless somebody has read some of it.
      let isUntouched = status.st_mode & S_IFMT == S_IFREG && lseek(STDIN_FILENO, 0, SEEK_CUR) == 0
      if isUntouched { return "/dev/stdin" }
      return try keep(path, as: key, from: STDIN_FILENO)
    }
    guard status.st_mode & S_IFMT == S_IFIFO else { return path }
    let source = try Descriptor(reading: path)
    // Closed with its last use, which must not be before the end of the pipe.
    defer { withExtendedLifetime(source) {} }
    return try keep(path, as: key, from: source.number)
  }

  private static let standardInputNames = ["/dev/stdin", "/dev/fd/0", "/proc/self/fd/0"]

  private static func keep(
    _ path: String, as key: String, from source: Int32
  ) throws(StorageError) -> String {
    let folder = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    let file = try makeFile(in: folder)
    // An endless pipe must not fill the disk of everybody else.
    var disk = statvfs()
    let most = fstatvfs(file, &disk) == 0 ? Int(disk.f_bavail) * Int(disk.f_frsize) / 2 : Int.max
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    var total = 0
    while true {
      let count = read(source, &buffer, buffer.count)
      if count == 0 { break }
      if count < 0 {
        if errno == EINTR { continue }
        defer { close(file) }
        throw .last("read", name(of: path))
      }
      total += count
      guard total <= most else {
        close(file)
        throw .pipeTooLong(path: name(of: path), folder: folder, limit: most)
      }
      var written = 0
      while written < count {
        let step = buffer.withUnsafeBytes { bytes in
          bytes.baseAddress.map { write(file, $0 + written, count - written) } ?? 0
        }
        if step < 0 {
          if errno == EINTR { continue }
          defer { close(file) }
          throw .last("keep what \(name(of: path)) gives in", folder)
        }
        written += step
      }
    }
    // The descriptor stays open for the life of the process: it is the only name the file has.
    let name = "/proc/self/fd/\(file)"
    kept.withLock { $0[key] = name }
    return name
  }

  /// A file that nobody else sees and that needs no removing.
  private static func makeFile(in folder: String) throws(StorageError) -> Int32 {
    var template = Array("\(folder)/lm-pipe-XXXXXX".utf8CString)
    let file = mkstemp(&template)
    if file < 0 { throw .last("make a temporary file in", folder) }
    _ = fcntl(file, F_SETFD, FD_CLOEXEC)
    unlink(template)
    return file
  }
}
