import CUDAEmulator
import CUDASource
import Foundation
package import GPUBackend
package import Tensor

/// Runs the kernels of a card on this processor, block by block, at once when they are asked for.
///
/// Memory ends where a page begins that nobody may touch: a kernel that reads or writes past its end
/// ends the program.
package final class EmulatedDriver: GPUDriver {
  /// Order in which the threads of a block take turns.
  package enum Order: Int32, Sendable, CaseIterable {
    case forward = 0
    case reverse = 1
    case shuffled = 2
  }

  private let order: Order

  package init(order: Order = .forward) { self.order = order }

  package var name: String { "emulator" }

  package var freeBytes: Int? { nil }

  private static let page = sysconf(Int32(_SC_PAGESIZE))

  package func allocate(bytes: Int) throws(DeviceError) -> UnsafeMutableRawPointer {
    let (rounded, whole) = Self.sizes(bytes)
    let map = mmap(nil, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let map, map != MAP_FAILED else {
      throw .outOfMemory(device: name, bytes: bytes, held: Buffer.allocatedBytes)
    }
    let address = map + (whole - Self.page - rounded)
    mprotect(map + (whole - Self.page), Self.page, PROT_NONE)
    // No number, so that what is read before it is written shows.
    memset(address, 0xFF, rounded)
    return address
  }

  package func free(_ address: UnsafeMutableRawPointer, bytes: Int) {
    let (rounded, whole) = Self.sizes(bytes)
    munmap(address - (whole - Self.page - rounded), whole)
  }

  /// Bytes on a multiple of 256, and of the pages that hold them and the one behind.
  private static func sizes(_ bytes: Int) -> (rounded: Int, whole: Int) {
    let rounded = (max(bytes, 1) + 255) / 256 * 256
    return (rounded, (rounded + page - 1) / page * page + page)
  }

  package func fill(_ address: UnsafeMutableRawPointer, word: UInt32, count: Int) {
    address.bindMemory(to: UInt32.self, capacity: count).update(repeating: word, count: count)
  }

  package func copyIn(_ source: UnsafeRawBufferPointer, to address: UnsafeMutableRawPointer) {
    if let base = source.baseAddress { memcpy(address, base, source.count) }
  }

  package func copyOut(_ address: UnsafeRawPointer, into target: UnsafeMutableRawBufferPointer) {
    if let base = target.baseAddress { memcpy(base, address, target.count) }
  }

  package func launch(
    _ kernel: GPUKernel, grid: GPUGrid, block: Int, sharedBytes: Int,
    arguments: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  ) {
    let found = Self.find(kernel)
    precondition(
      emulated_argument_count(found) == arguments.count,
      "\(kernel.name) takes \(emulated_argument_count(found)) values, not \(arguments.count)")
    withUnsafeBytes(of: (UInt32(grid.x), UInt32(grid.y), UInt32(grid.z))) { bytes in
      emulate(
        found, bytes.bindMemory(to: UInt32.self).baseAddress, UInt32(block), sharedBytes,
        arguments.baseAddress, order.rawValue)
    }
  }

  /// The kernel as the emulator knows it.
  static func find(_ kernel: GPUKernel) -> OpaquePointer {
    let module = ([kernel.file] + kernel.definitions).joined(separator: "/")
    guard let found = emulated_kernel(module, kernel.name) else {
      preconditionFailure("the emulator has no \(kernel.name) of \(module)")
    }
    return found
  }

  package func product(_ product: GPUProduct) {
    let (a, b, c) = (product.a, product.b, product.c)
    for part in 0..<product.parts {
      func address(_ view: View) -> UnsafeMutableRawPointer {
        view.address + part * (view.rows / product.parts) * view.stride * view.buffer.type.bytes
      }
      emulated_product(
        Int32(product.rows), Int32(c.columns), Int32(product.depth), address(a.view),
        a.view.numberType, Int64(a.view.stride), a.isTransposed ? 1 : 0, address(b.view),
        b.view.numberType, Int64(b.view.stride), b.isTransposed ? 1 : 0, address(c),
        c.numberType, Int64(c.stride), product.accumulate ? 1 : 0)
    }
  }

  package func fail(_ error: DeviceError) { error.endProgram() }

  package func check() {}

  package func synchronize() {}
}
