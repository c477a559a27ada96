import Foundation

/// Memory of zeros for a large table, in pages of 2 MiB where the system has them.
///
/// A look at random into a table in small pages would wait for the table of pages, too.
final class ZeroedMemory<Element> {
  /// At the beginning of a line of the processor's cache.
  let elements: UnsafeMutablePointer<Element>
  private let memory: UnsafeMutableRawPointer

  /// - Parameter count: Elements, for which zero bytes are a value.
  init(_ count: Int) {
    let bytes = count * MemoryLayout<Element>.stride
    // What the system has just handed out is zero already, and costs nothing until it is touched.
    guard let memory = calloc(bytes + Self.line, 1) else {
      preconditionFailure("no memory for \(bytes) bytes")
    }
    self.memory = memory
    elements = memory.alignedUp(toMultipleOf: Self.line).bindMemory(
      to: Element.self, capacity: count)
    #if os(Linux)
      let page = memory.alignedUp(toMultipleOf: 2 << 20)
      let rest = memory + bytes - page
      if rest > 0 { madvise(page, rest, 14 /* MADV_HUGEPAGE */) }
    #endif
  }

  deinit { free(memory) }

  private static var line: Int { 64 }
}
