/// The bytes of a file or pipe from front to back, decompressed where its name or its first bytes say that it
/// is compressed, for readers of other formats than text.
package final class DecompressedFile {
  private let source: ByteSource

  /// Opens a file by the ending of its name; a pipe, and a file of another name, by its first bytes.
  package init(path: String) throws(TokenizerError) { source = try ByteSource.open(path) }

  /// Whether a file or pipe was written by gzip or zstd, by its name or its first bytes.
  package static func isCompressed(_ path: String) -> Bool { ByteSource.isCompressed(path) }

  /// Bytes of the file on the disk that have been read so far.
  package var diskBytes: Int { source.diskBytes }

  /// Reads up to `target.count` bytes; 0 at the end.
  package func read(into target: UnsafeMutableRawBufferPointer) throws(TokenizerError) -> Int {
    try source.read(into: target)
  }
}
