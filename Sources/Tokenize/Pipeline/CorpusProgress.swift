/// How far a pass over a corpus has come.
package struct CorpusProgress: Equatable, Sendable {
  /// Bytes of text read, decompressed.
  package var textBytes = 0

  /// Bytes on the disk read, of all the files.
  package var diskBytes = 0
  package var totalDiskBytes = 0

  package init() {}
}
