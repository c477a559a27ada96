import Foundation

/// A file in memory, read only, paged in by the system as it is touched.
///
/// The pointer is valid while the object lives: keep the object in a property beside what uses
/// `bytes`, or wrap the use in `withExtendedLifetime`. A file that another process cuts short
/// while it is mapped ends this process; the writers of this project never do that, they replace.
package final class MappedFile: @unchecked Sendable {
  // Unchecked because of the raw pointer: the memory is never written and lives as long as self.
  package let path: String
  package let bytes: UnsafeRawBufferPointer

  package init(path: String) throws(StorageError) {
    self.path = path
    let descriptor = try Descriptor(reading: path)
    let size = try descriptor.regularFileSize()
    if size == 0 {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor.number, 0)
    guard let address, address != MAP_FAILED else { throw .last("map into memory", path) }
    bytes = UnsafeRawBufferPointer(start: address, count: size)
  }

  /// Gives the memory of a range back that has been read; reading it again reads the file again.
  ///
  /// Only whole pages go, so neighbours of the range are never lost.
  package func forget(_ range: Range<Int>) {
    guard let base = bytes.baseAddress else { return }
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let first = (range.lowerBound + page - 1) / page * page
    let last = range.upperBound == bytes.count ? bytes.count : range.upperBound / page * page
    guard first < last else { return }
    madvise(UnsafeMutableRawPointer(mutating: base + first), last - first, MADV_DONTNEED)
  }

  deinit {
    if let address = bytes.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: address), bytes.count)
    }
  }
}
