import CCUDA
import Synchronization
import Tensor

/// Memory of a card, in the order of the stream's work.
///
/// Taken from the driver's pool, which keeps what is given back: the indices of every batch come and go,
/// and `cuMemAlloc` and `cuMemFree` would wait for the card each time. The pool maps its pieces anew,
/// so it does not fall into pieces either.
final class CUDAMemory: Sendable {
  private let context: CUDAContext
  /// Nil where the driver has none; then memory is taken piece by piece.
  private let pool: Pool?
  private let heldBytes = Atomic<Int>(0)

  private struct Pool: @unchecked Sendable {
    let handle: CUmemoryPool
  }

  init(_ context: CUDAContext) throws(DeviceError) {
    self.context = context
    guard context.card.hasPools else {
      pool = nil
      return
    }
    let driver = context.driver
    context.enter()
    var device: CUdevice = 0
    var handle: CUmemoryPool?
    // Without a threshold the pool would give everything back at every wait.
    var threshold = UInt64.max
    var result = driver.cuDeviceGet(&device, Int32(context.card.number))
    if result == CUDA_SUCCESS { result = driver.cuDeviceGetDefaultMemPool(&handle, device) }
    if result == CUDA_SUCCESS {
      result = driver.cuMemPoolSetAttribute(
        handle, CUmemPool_attribute(CU_MEMPOOL_ATTR_RELEASE_THRESHOLD), &threshold)
    }
    guard result == CUDA_SUCCESS, let handle else {
      throw CUDAFault(result, driver).error(device: context.card.name, doing: "making a pool")
    }
    pool = Pool(handle: handle)
  }

  /// Bytes that are in use.
  var held: Int { heldBytes.load(ordering: .relaxed) }

  /// Memory on 256 bytes.
  func allocate(bytes: Int) throws(DeviceError) -> UnsafeMutableRawPointer {
    try context.raise()
    context.enter()
    var address: CUdeviceptr = 0
    var result = take(bytes, &address)
    if result == CUDA_ERROR_OUT_OF_MEMORY {
      // What was given back may still wait for the work before it.
      try context.synchronize()
      trim()
      result = take(bytes, &address)
    }
    if result == CUDA_ERROR_OUT_OF_MEMORY {
      let room = room()
      throw .cardIsFull(
        device: context.card.name, bytes: bytes, held: held, free: room.free, total: room.total)
    }
    guard result == CUDA_SUCCESS, let place = UnsafeMutableRawPointer(bitPattern: UInt(address))
    else {
      context.fail(result, doing: "asking for \(bytes) bytes")
      try context.raise()
      throw .failed(device: context.card.name, problem: "the card has memory at address 0")
    }
    heldBytes.wrappingAdd(bytes, ordering: .relaxed)
    return place
  }

  private func take(_ bytes: Int, _ address: inout CUdeviceptr) -> CUresult {
    pool == nil
      ? context.driver.cuMemAlloc(&address, bytes)
      : context.driver.cuMemAllocAsync(&address, bytes, context.stream)
  }

  /// Gives memory back after the work that was asked for before.
  func free(_ address: UnsafeMutableRawPointer, bytes: Int) {
    heldBytes.wrappingSubtract(bytes, ordering: .relaxed)
    // Whatever has gone wrong: memory that a run holds no longer must not stay away.
    context.enter()
    let place = CUdeviceptr(UInt(bitPattern: address))
    let result =
      pool == nil
      ? context.driver.cuMemFree(place) : context.driver.cuMemFreeAsync(place, context.stream)
    if result != CUDA_SUCCESS { context.fail(result, doing: "giving memory back") }
  }

  /// Gives what the pool keeps and nobody uses back to the card.
  func trim() {
    guard let pool else { return }
    context.enter()
    _ = context.driver.cuMemPoolTrimTo(pool.handle, 0)
  }

  /// Bytes that can still be had, and all bytes of the card.
  func room() -> (free: Int, total: Int) {
    context.enter()
    var free = 0
    var total = 0
    _ = context.driver.cuMemGetInfo(&free, &total)
    guard let pool else { return (free, total) }
    func number(_ attribute: Int) -> Int {
      var value: UInt64 = 0
      _ = context.driver.cuMemPoolGetAttribute(
        pool.handle, CUmemPool_attribute(attribute), &value)
      return Int(value)
    }
    let idle =
      number(CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT) - number(CU_MEMPOOL_ATTR_USED_MEM_CURRENT)
    return (free + max(idle, 0), total)
  }
}
