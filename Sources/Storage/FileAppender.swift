/// Adds to the end of a file, for logs that grow line by line.
///
/// Every `append` is one write; a crash may cut the last one short.
package final class FileAppender {
  private let descriptor: Descriptor

  /// Opens a file that exists.
  package init(path: String) throws(StorageError) {
    descriptor = try Descriptor(appending: path)
  }

  package func append(_ bytes: [UInt8]) throws(StorageError) {
    try bytes.span.withUnsafeBytes { (bytes) throws(StorageError) in
      try descriptor.write(bytes)
    }
  }

  /// Waits until the disk holds what was appended.
  package func flush() throws(StorageError) { try descriptor.synchronize() }
}
