import Foundation

/// An open file or folder, closed when the last reference goes.
///
/// Interrupted calls are taken up again; every other failure is a ``StorageError``.
final class Descriptor {
  let number: Int32
  let path: String
  private var isOpen = true

  /// Opens a file that exists, for reading.
  init(reading path: String) throws(StorageError) {
    self.path = path
    number = open(path, O_RDONLY | O_CLOEXEC)
    if number < 0 { throw .last("open", path) }
  }

  /// Creates a file, or empties one that exists, for writing.
  init(creating path: String) throws(StorageError) {
    self.path = path
    try SystemFault.check(.create, path, doing: "create")
    number = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    if number < 0 { throw .last("create", path) }
  }

  /// Opens a file that exists, for writing at its end.
  init(appending path: String) throws(StorageError) {
    self.path = path
    try SystemFault.check(.create, path, doing: "open")
    number = open(path, O_WRONLY | O_APPEND | O_CLOEXEC)
    if number < 0 { throw .last("open", path) }
  }

  /// What is open already, and stays so.
  init(open number: Int32, path: String) {
    self.path = path
    self.number = number
    isOpen = false
  }

  /// Creates a file that must not be there yet, for writing.
  init(creatingNew path: String) throws(StorageError) {
    self.path = path
    try SystemFault.check(.create, path, doing: "create")
    number = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    if number < 0 { throw .last("create", path) }
  }

  /// Opens a file that exists, for writing if that is allowed: some network disks lock no other.
  init(locking path: String) throws(StorageError) {
    self.path = path
    let writable = open(path, O_RDWR | O_CLOEXEC)
    number =
      writable < 0 && (errno == EACCES || errno == EROFS)
      ? open(path, O_RDONLY | O_CLOEXEC) : writable
    if number < 0 { throw .last("open", path) }
  }

  deinit {
    if isOpen { Foundation.close(number) }
  }

  /// Reads up to `buffer.count` bytes; 0 at the end of the file.
  func read(into buffer: inout [UInt8]) throws(StorageError) -> Int {
    while true {
      let count = buffer.withUnsafeMutableBytes {
        Foundation.read(number, $0.baseAddress, $0.count)
      }
      if count >= 0 { return count }
      if errno != EINTR { throw .last("read", path) }
    }
  }

  /// Writes all the bytes, however many calls it takes.
  func write(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    var rest = bytes[...]
    if let code = SystemFault.code(.write, path) {
      // Half of it gets through, as on a disk that fills up.
      _ = Foundation.write(number, bytes.baseAddress, bytes.count / 2)
      throw .system(path: path, doing: "write", code: code)
    }
    while !rest.isEmpty {
      let part = UnsafeRawBufferPointer(rebasing: rest)
      let count = Foundation.write(number, part.baseAddress, part.count)
      if count < 0 {
        if errno == EINTR { continue }
        throw .last("write", path)
      }
      rest = rest.dropFirst(count)
    }
  }

  /// Waits until the disk holds what was written.
  func synchronize() throws(StorageError) {
    try SystemFault.check(.flush, path, doing: "flush to disk")
    while fsync(number) != 0 {
      if errno == EINTR { continue }
      // Some network and memory file systems have nothing to flush and say so this way.
      if errno == EINVAL || errno == ENOTSUP { return }
      throw .last("flush to disk", path)
    }
  }

  /// Closes the file and reports what only closing reveals, such as a quota on a network disk.
  func close() throws(StorageError) {
    guard isOpen else { return }
    isOpen = false
    if let code = SystemFault.code(.close, path) {
      Foundation.close(number)
      throw .system(path: path, doing: "close", code: code)
    }
    if Foundation.close(number) != 0 && errno != EINTR { throw .last("close", path) }
  }

  /// Size in bytes of a regular file; refuses anything else.
  func regularFileSize() throws(StorageError) -> Int {
    var status = stat()
    if fstat(number, &status) != 0 { throw .last("examine", path) }
    guard status.st_mode & S_IFMT == S_IFREG else { throw .notAFile(path: path) }
    return Int(status.st_size)
  }
}
