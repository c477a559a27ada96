import CCUDA
import Foundation
import Tensor

/// A ring of pinned memory that copies to the card go through.
///
/// The driver may wait for all earlier work before it copies from ordinary memory; from here the copy
/// is one more piece of work, and the caller goes on as soon as its bytes are in the ring.
final class CUDAStaging: @unchecked Sendable {
  static let slotBytes = 1 << 20
  private static let slotCount = 4

  private let context: CUDAContext
  private let lock = NSLock()
  // Written under `lock` alone.
  private let memory: UnsafeMutableRawPointer
  private let events: [CUevent]
  private var next = 0

  init(_ context: CUDAContext) throws(DeviceError) {
    self.context = context
    let driver = context.driver
    context.enter()
    var memory: UnsafeMutableRawPointer?
    var result = driver.cuMemHostAlloc(&memory, Self.slotBytes * Self.slotCount, 0)
    var events: [CUevent] = []
    for _ in 0..<Self.slotCount where result == CUDA_SUCCESS {
      var event: CUevent?
      result = driver.cuEventCreate(&event, UInt32(CU_EVENT_DISABLE_TIMING))
      if let event { events.append(event) }
    }
    guard result == CUDA_SUCCESS, let memory else {
      throw CUDAFault(result, driver).error(
        device: context.card.name, doing: "asking for pinned memory of this machine")
    }
    self.memory = memory
    self.events = events
  }

  deinit {
    context.enter()
    // Copies may still read.
    _ = context.driver.cuStreamSynchronize(context.stream)
    for event in events { _ = context.driver.cuEventDestroy(event) }
    _ = context.driver.cuMemFreeHost(memory)
  }

  /// Copies to the card; the source may change when this returns.
  func copy(_ source: UnsafeRawBufferPointer, to address: UnsafeMutableRawPointer) {
    lock.withLock {
      for start in stride(from: 0, to: source.count, by: Self.slotBytes) {
        let part = UnsafeRawBufferPointer(
          rebasing: source[start..<min(start + Self.slotBytes, source.count)])
        guard put(part, at: CUdeviceptr(UInt(bitPattern: address + start))) else { return }
      }
    }
  }

  private func put(_ part: UnsafeRawBufferPointer, at address: CUdeviceptr) -> Bool {
    let (driver, event) = (context.driver, events[next])
    let slot = memory + next * Self.slotBytes
    next = (next + 1) % Self.slotCount
    // An event that was never recorded is one that has passed.
    return context.run("copying to the card") {
      var result = driver.cuEventSynchronize(event)
      guard result == CUDA_SUCCESS, let base = part.baseAddress else { return result }
      slot.copyMemory(from: base, byteCount: part.count)
      result = driver.cuMemcpyHtoDAsync(address, slot, part.count, context.stream)
      return result == CUDA_SUCCESS ? driver.cuEventRecord(event, context.stream) : result
    }
  }
}
