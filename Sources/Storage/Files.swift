import Foundation

/// Plain questions to the file system, with errors that name the path.
package enum Files {
  /// All the bytes of a file.
  package static func contents(of path: String) throws(StorageError) -> [UInt8] {
    let file = try MappedFile(path: path)
    return [UInt8](file.bytes)
  }

  /// Size in bytes of a regular file.
  package static func size(of path: String) throws(StorageError) -> Int {
    try Descriptor(reading: path).regularFileSize()
  }

  /// Size in bytes of what the path leads to, without opening it; nil unless that is a regular file.
  package static func sizeIfRegular(_ path: String) -> Int? {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
      ? Int(status.st_size) : nil
  }

  /// Whether anything has this name, a dangling link included.
  package static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  /// Whether the path leads to a folder.
  package static func isDirectory(_ path: String) -> Bool {
    var status = stat()
    return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
  }

  /// Whether the path names a regular file itself, not a link to one.
  package static func isRegularFile(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
  }

  /// What a path leads to, the same for every spelling of the path and for every link to it.
  package struct Identity: Hashable, Sendable {
    let device: UInt64
    let inode: UInt64
  }

  /// The identity of a file or folder; links are followed.
  package static func identity(of path: String) throws(StorageError) -> Identity {
    var status = stat()
    if stat(path, &status) != 0 { throw .last("open", path) }
    return Identity(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
  }

  /// Names in a folder, in order of their bytes, without `.` and `..`.
  package static func entries(of path: String) throws(StorageError) -> [String] {
    guard let directory = opendir(path) else { throw .last("list", path) }
    defer { closedir(directory) }
    var names: [String] = []
    errno = 0
    while let entry = readdir(directory) {
      let name = withUnsafePointer(to: &entry.pointee.d_name) {
        $0.withMemoryRebound(to: CChar.self, capacity: Int(NAME_MAX) + 1) { String(cString: $0) }
      }
      if name != "." && name != ".." { names.append(name) }
      errno = 0
    }
    if errno != 0 { throw .last("list", path) }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Creates a folder and those above it; one that exists is left as it is.
  package static func createDirectory(_ path: String) throws(StorageError) {
    if isDirectory(path) { return }
    let parent = Self.parent(of: path)
    if parent != path && !isDirectory(parent) { try createDirectory(parent) }
    try SystemFault.check(.makeFolder, path, doing: "create the folder")
    if mkdir(path, 0o777) != 0 && !(errno == EEXIST && isDirectory(path)) {
      throw .last("create the folder", path)
    }
  }

  /// Removes a file, a link, or a folder with all it holds; nothing there is no error.
  package static func remove(_ path: String) throws(StorageError) {
    try SystemFault.check(.remove, path, doing: "remove")
    var status = stat()
    if lstat(path, &status) != 0 {
      if errno == ENOENT { return }
      throw .last("remove", path)
    }
    if status.st_mode & S_IFMT == S_IFDIR {
      for name in try entries(of: path) { try remove(path + "/" + name) }
      if rmdir(path) != 0 { throw .last("remove", path) }
    } else if unlink(path) != 0 {
      throw .last("remove", path)
    }
  }

  /// Cuts a file off after so many bytes.
  package static func truncate(_ path: String, to count: Int) throws(StorageError) {
    try SystemFault.check(.write, path, doing: "cut off")
    if Foundation.truncate(path, off_t(count)) != 0 { throw .last("cut off", path) }
  }

  /// Gives a file or folder another name on the same disk, then flushes the folder it is in.
  package static func rename(_ path: String, to target: String) throws(StorageError) {
    try SystemFault.check(.rename, target, doing: "rename \(path) to")
    if Foundation.rename(path, target) != 0 {
      throw .last("rename \(path) to", target)
    }
    try synchronizeDirectory(parent(of: target))
  }

  /// Waits until the disk knows the names in a folder.
  package static func synchronizeDirectory(_ path: String) throws(StorageError) {
    try Descriptor(reading: path).synchronize()
  }

  /// Waits until the disk holds a folder with all the files and folders in it.
  package static func synchronizeTree(_ path: String) throws(StorageError) {
    for name in try entries(of: path) {
      let inner = path + "/" + name
      if isDirectory(inner) {
        try synchronizeTree(inner)
      } else {
        try Descriptor(reading: inner).synchronize()
      }
    }
    try synchronizeDirectory(path)
  }

  /// The folder that a path is in: `.` for a bare name.
  package static func parent(of path: String) -> String {
    let (folder, _) = split(path)
    return folder
  }

  /// The last component of a path.
  package static func name(of path: String) -> String {
    let (_, name) = split(path)
    return name
  }

  private static func split(_ path: String) -> (folder: String, name: String) {
    var trimmed = Substring(path)
    while trimmed.count > 1 && trimmed.hasSuffix("/") { trimmed.removeLast() }
    guard let slash = trimmed.lastIndex(of: "/") else { return (".", String(trimmed)) }
    let name = String(trimmed[trimmed.index(after: slash)...])
    var folder = trimmed[..<slash]
    while folder.hasSuffix("/") { folder.removeLast() }
    return (folder.isEmpty ? "/" : String(folder), name)
  }
}
