import Synchronization

#if canImport(Glibc)
  import Glibc
#endif

/// The only owner of float memory: one aligned, zeroed allocation.
///
/// Parameters, gradients, moments and activations are each one buffer, carved into views, so that
/// zeroing, norms, updates and saving are single loops over contiguous memory.
///
/// `@unchecked Sendable`: the address never changes after `init`. Which thread writes which part
/// is decided by `parallelFor`, whose chunks never overlap.
package final class Buffer: @unchecked Sendable {
  package let base: UnsafeMutablePointer<Float>
  package let count: Int
  private let mappedBytes: Int
  private let release: (@Sendable () -> Void)?

  private static let held = Atomic<Int>(0)
  private static let made = Atomic<Int>(0)

  /// Bytes of all buffers that exist, in whole pages; borrowed memory does not count.
  package static var allocatedBytes: Int { held.load(ordering: .relaxed) }

  /// Buffers that have been allocated so far.
  package static var allocations: Int { made.load(ordering: .relaxed) }

  /// Bytes that a buffer of `count` floats takes from the system.
  package static func bytes(count: Int) -> Int {
    let bytes = max(count, 1) * MemoryLayout<Float>.stride
    let page = bytes < hugePage ? Int(sysconf(Int32(_SC_PAGESIZE))) : hugePage
    return (bytes + page - 1) / page * page
  }

  private static let hugePage = 2 << 20

  /// Floats of a buffer that no machine has; a plan of more says so many, and none overflows.
  package static let mostFloats = 1 << 58

  /// Allocates `count` zeroed floats on a page boundary.
  ///
  /// Anonymous memory costs nothing until it is touched. From the size of a huge page on, huge
  /// pages are asked for, which spares the matrix products most of their address translation
  /// misses; smaller buffers, such as the caches of decoding, take the pages they need.
  ///
  /// What follows from outside input is planned and asked for before (`MemoryLimit` of Storage); where
  /// the system refuses memory all the same, the program ends with a sentence and exit code 1.
  package init(count: Int) {
    precondition((0...Self.mostFloats).contains(count), "buffer of \(count) floats")
    self.count = count
    self.release = nil
    mappedBytes = Self.bytes(count: count)
    let address = mmap(
      nil, mappedBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let address, address != MAP_FAILED else { Self.endWithoutMemory(mappedBytes) }
    if mappedBytes % Self.hugePage == 0 { madvise(address, mappedBytes, 14 /* MADV_HUGEPAGE */) }
    base = address.bindMemory(to: Float.self, capacity: count)
    Self.held.wrappingAdd(mappedBytes, ordering: .relaxed)
    Self.made.wrappingAdd(1, ordering: .relaxed)
  }

  /// Borrows memory that somebody else owns, for example a mapped file.
  ///
  /// - Parameters:
  ///   - base: The first float.
  ///   - count: Number of floats.
  ///   - release: Called once when the last view is gone; it keeps the owner alive.
  package init(
    borrowing base: UnsafeMutablePointer<Float>, count: Int, release: @escaping @Sendable () -> Void
  ) {
    self.base = base
    self.count = count
    self.release = release
    mappedBytes = 0
  }

  /// Kernels have no way back out of the threads they run on.
  private static func endWithoutMemory(_ bytes: Int) -> Never {
    let sentence =
      "error: the system refused \(bytes) bytes of memory, beside the \(allocatedBytes) that are "
      + "held; allow the process more, or give it less at a time\n"
    fflush(nil)
    _ = Array(sentence.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    _exit(1)
  }

  deinit {
    if let release {
      release()
    } else {
      munmap(base, mappedBytes)
      Self.held.wrappingSubtract(mappedBytes, ordering: .relaxed)
    }
  }
}
