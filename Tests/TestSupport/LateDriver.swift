import CUDAEmulator
import Foundation
package import GPUBackend
package import Tensor

/// The emulator as a card that is far behind: work is done when somebody waits for it, and no sooner.
///
/// Whoever reads what a sibling has been asked to compute, and has not waited for it, finds what was there
/// before.
///
/// `@unchecked Sendable`: the work is touched under `lock` alone.
package final class LateDriver: GPUDriver, @unchecked Sendable {
  private let emulator = EmulatedDriver()
  private let lock = NSRecursiveLock()
  private var work: [() -> Void] = []
  private var done = 0

  package init() {}

  deinit { for piece in work { piece() } }

  /// So much of the work of a driver.
  private struct Point: Sendable {
    let driver: LateDriver
    let count: Int
  }

  private func later(_ piece: @escaping () -> Void) { lock.withLock { work.append(piece) } }

  /// Does the first pieces of all that were asked for.
  private func run(to count: Int = .max) {
    lock.withLock {
      while done < count, !work.isEmpty {
        done += 1
        work.removeFirst()()
      }
    }
  }

  package var name: String { "late emulator" }

  package var freeBytes: Int? { nil }

  package func allocate(bytes: Int) throws(DeviceError) -> UnsafeMutableRawPointer {
    try emulator.allocate(bytes: bytes)
  }

  package func free(_ address: UnsafeMutableRawPointer, bytes: Int) {
    later { [emulator] in emulator.free(address, bytes: bytes) }
  }

  package func fill(_ address: UnsafeMutableRawPointer, word: UInt32, count: Int) {
    later { [emulator] in emulator.fill(address, word: word, count: count) }
  }

  package func copyIn(_ source: UnsafeRawBufferPointer, to address: UnsafeMutableRawPointer) {
    let bytes = Array(source)
    later { [emulator] in bytes.withUnsafeBytes { emulator.copyIn($0, to: address) } }
  }

  package func copyOut(_ address: UnsafeRawPointer, into target: UnsafeMutableRawBufferPointer) {
    run()
    emulator.copyOut(address, into: target)
  }

  package func launch(
    _ kernel: GPUKernel, grid: GPUGrid, block: Int, sharedBytes: Int,
    arguments: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  ) {
    let found = EmulatedDriver.find(kernel)
    let values = arguments.enumerated().map { index, value in
      let bytes = emulated_argument_bytes(found, Int32(index))
      return value.map { Array(UnsafeRawBufferPointer(start: $0, count: bytes)) } ?? []
    }
    later { [emulator] in
      var copies = values.map { value -> UnsafeMutableRawPointer? in
        let copy = UnsafeMutableRawPointer.allocate(byteCount: value.count, alignment: 16)
        value.withUnsafeBytes { if let base = $0.baseAddress { memcpy(copy, base, $0.count) } }
        return copy
      }
      copies.withUnsafeMutableBufferPointer {
        emulator.launch(
          kernel, grid: grid, block: block, sharedBytes: sharedBytes, arguments: $0)
      }
      for copy in copies { copy?.deallocate() }
    }
  }

  package func product(_ product: GPUProduct) {
    later { [emulator] in emulator.product(product) }
  }

  package func fail(_ error: DeviceError) { emulator.fail(error) }

  package func check() {}

  package func synchronize() { run() }

  package func makeSibling() -> any GPUDriver { LateDriver() }

  package func mark() -> WorkMark? {
    WorkMark(lock.withLock { Point(driver: self, count: done + work.count) })
  }

  package func follow(_ mark: WorkMark?) {
    guard let point = mark?.point as? Point else { return }
    later { point.driver.run(to: point.count) }
  }
}
