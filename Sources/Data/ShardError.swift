package import Storage

/// Why a shard could not be written, or must not be read.
package enum ShardError: Error, Equatable, Sendable {
  /// A call to the file system failed.
  case storage(StorageError)

  /// A property of the whole file is not the expected one.
  case mismatch(path: String, what: String, expected: String, found: String)

  /// One frame does not decode to what the seek table says.
  case damagedFrame(path: String, frame: Int, expected: String, found: String)

  /// The compressor failed, for example for want of memory.
  case compression(path: String, reason: String)

  static func mismatch(_ path: String, _ what: String, expected: Int, found: Int) -> ShardError {
    .mismatch(path: path, what: what, expected: "\(expected)", found: "\(found)")
  }
}

extension ShardError: CustomStringConvertible {
  package var description: String {
    let hint = "; copy the file again or run lm-tokenize again"
    switch self {
    case .storage(let error):
      return error.description
    case .mismatch(let path, let what, let expected, let found):
      return "\(path) is damaged: \(what) should be \(expected) but is \(found)" + hint
    case .damagedFrame(let path, let frame, let expected, let found):
      return "\(path) is damaged: frame \(frame) should be \(expected) but is \(found)" + hint
    case .compression(let path, let reason):
      return "could not compress into \(path): \(reason)"
    }
  }
}
