#if canImport(Glibc)
  import Glibc
#endif
package import Tensor

/// Memory of this process, in whole pages.
package enum HostMemory {
  /// Bytes that so many numbers take from the system.
  package static func bytes(count: Int, type: NumberType = .float32) -> Int {
    let bytes = max(count, 1) * type.bytes
    let page = bytes < hugePage ? Int(sysconf(Int32(_SC_PAGESIZE))) : hugePage
    return (bytes + page - 1) / page * page
  }

  private static let hugePage = 2 << 20

  /// Allocates zeroed numbers on a page boundary.
  ///
  /// Anonymous memory costs nothing until it is touched. From the size of a huge page on, huge
  /// pages are asked for, which spares the matrix products most of their address translation
  /// misses; smaller buffers, such as the caches of decoding, take the pages they need.
  ///
  /// - Throws: `DeviceError.outOfMemory` if the system refuses.
  package static func allocate(
    count: Int, type: NumberType = .float32, home: Buffer.Home = .host, device: String
  ) throws(DeviceError) -> Buffer {
    let (place, bytes) = try map(count: count, type: type, device: device)
    return Buffer(place: place, count: count, type: type, home: home, bytes: bytes)
  }

  fileprivate static func map(
    count: Int, type: NumberType, device: String
  ) throws(DeviceError) -> (place: UInt, bytes: Int) {
    precondition(count >= 0, "a buffer of \(count) numbers")
    guard count <= Buffer.mostNumbers else {
      throw .outOfMemory(device: device, bytes: .max, held: Buffer.allocatedBytes)
    }
    let bytes = bytes(count: count, type: type)
    let address = mmap(nil, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let address, address != MAP_FAILED else {
      throw .outOfMemory(device: device, bytes: bytes, held: Buffer.allocatedBytes)
    }
    if bytes % hugePage == 0 { madvise(address, bytes, 14 /* MADV_HUGEPAGE */) }
    return (UInt(bitPattern: address), bytes)
  }
}

extension Buffer {
  /// Single precision in this process, for back ends that run in it.
  ///
  /// What follows from outside input is planned and asked for before (`MemoryLimit` of Storage);
  /// where the system refuses memory all the same, the program ends with a sentence and exit code 1.
  package convenience init(count: Int) {
    do throws(DeviceError) {
      let (place, bytes) = try HostMemory.map(count: count, type: .float32, device: "cpu")
      self.init(place: place, count: count, type: .float32, home: .host, bytes: bytes)
    } catch {
      error.endProgram()
    }
  }

  /// Pages of the system; the address is a number to whoever gives them back.
  fileprivate convenience init(place: UInt, count: Int, type: NumberType, home: Home, bytes: Int) {
    guard let address = UnsafeMutableRawPointer(bitPattern: place) else {
      preconditionFailure("no pages at 0")
    }
    self.init(address: address, count: count, type: type, home: home, bytes: bytes) {
      munmap(UnsafeMutableRawPointer(bitPattern: place), bytes)
    }
  }
}
