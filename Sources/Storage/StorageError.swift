import Foundation

/// Why a file could not be read or written.
package enum StorageError: Error, Equatable, Sendable {
  /// A call to the operating system failed; `code` is its `errno`.
  case system(path: String, doing: String, code: Int32)

  /// Something stands already where a new file or folder was to go.
  case exists(path: String)

  /// The path names a folder, a pipe or a device where a regular file was expected.
  case notAFile(path: String)

  /// The file is not the JSON that was expected; `reason` names the key.
  case json(path: String, reason: String)

  /// A value could not be written as JSON (for example, it holds a number that is not finite).
  case unencodable(path: String, reason: String)

  /// A pipe gives more than may be kept of it.
  case pipeTooLong(path: String, folder: String, limit: Int)

  /// The error of the last failed system call of this thread.
  static func last(_ doing: String, _ path: String) -> StorageError {
    .system(path: path, doing: doing, code: errno)
  }
}

extension StorageError: CustomStringConvertible {
  package var description: String {
    switch self {
    case .system(let path, let doing, let code):
      let sentence = "could not \(doing) \(path): \(String(cString: strerror(code)))"
      guard code == ENOSPC || code == EDQUOT else { return sentence }
      return sentence + "; free some space or choose a folder on another disk, then run again"
    case .exists(let path):
      return "\(path) exists already; remove it or choose another name"
    case .notAFile(let path):
      return "\(path) is not a regular file"
    case .json(let path, let reason):
      return "\(path) is not the JSON expected here: \(reason)"
    case .unencodable(let path, let reason):
      return "\(path) could not be written as JSON: \(reason)"
    case .pipeTooLong(let path, let folder, let limit):
      return "\(path) is a pipe that gives more than \(limit) bytes, half of what is free in "
        + "\(folder), where it is kept to be read again; set TMPDIR to a folder on a larger disk, or "
        + "give a file"
    }
  }
}
