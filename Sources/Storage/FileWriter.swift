/// Writes a file from front to back.
///
/// Every `append` is one write to the system: give it large pieces. A file is complete only once
/// `finish` has returned; until then its name should not be one that a reader looks for.
package final class FileWriter {
  package let path: String

  /// Bytes written so far.
  package private(set) var byteCount = 0
  private let descriptor: Descriptor

  /// Creates the file, or empties one that exists.
  package init(path: String) throws(StorageError) {
    self.path = path
    descriptor = try Descriptor(creating: path)
  }

  /// Writes to what is open already and stays open.
  ///
  /// - Parameters:
  ///   - number: The descriptor.
  ///   - path: Named in errors.
  package init(open number: Int32, path: String) {
    self.path = path
    descriptor = Descriptor(open: number, path: path)
  }

  /// Writes all the bytes at the end of the file.
  package func append(_ bytes: UnsafeRawBufferPointer) throws(StorageError) {
    try descriptor.write(bytes)
    byteCount += bytes.count
  }

  /// Writes all the bytes at the end of the file.
  package func append(_ bytes: [UInt8]) throws(StorageError) {
    try bytes.span.withUnsafeBytes { (bytes) throws(StorageError) in try append(bytes) }
  }

  /// Flushes to the disk and closes.
  ///
  /// - Parameter flushes: Whether to wait for the disk; what can be made again need not be.
  package func finish(flushes: Bool = true) throws(StorageError) {
    if flushes { try descriptor.synchronize() }
    try descriptor.close()
  }
}
