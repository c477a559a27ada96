import Foundation

/// A run of whole lines of a text file, in memory that is used again.
final class TextBlock {
  /// Place of the block in its file, from 0.
  var number = 0

  /// Number of its first line, from 0.
  var firstLine = 0
  private(set) var count = 0
  var memory: UnsafeMutablePointer<UInt8>
  var capacity: Int

  init(capacity: Int = BlockReader.blockBytes) {
    self.capacity = capacity
    memory = Self.resize(nil, to: capacity)
    memset(memory, 0, capacity + LineEncoder.padding)
  }

  deinit { free(memory) }

  /// The lines, each closed by a newline but perhaps the last of the file; ``LineEncoder/padding``
  /// more bytes are readable.
  var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(start: memory, count: count) }

  func end(at count: Int) { self.count = count }

  func grow(to capacity: Int) {
    memory = Self.resize(memory, to: capacity)
    self.capacity = capacity
  }

  /// The system moves large memory without a second copy of it, and what is not yet touched takes none.
  private static func resize(
    _ memory: UnsafeMutablePointer<UInt8>?, to capacity: Int
  ) -> UnsafeMutablePointer<UInt8> {
    guard let larger = realloc(memory, capacity + LineEncoder.padding) else {
      preconditionFailure("no memory for a line of \(capacity) bytes")
    }
    return larger.assumingMemoryBound(to: UInt8.self)
  }
}
