import CCUDA
import Tensor

/// Memory of a card and all that is copied to it and from it.
final class CUDATransfer: Sendable {
  let context: CUDAContext
  let memory: CUDAMemory
  private let staging: CUDAStaging

  init(_ context: CUDAContext) throws(DeviceError) {
    self.context = context
    memory = try CUDAMemory(context)
    staging = try CUDAStaging(context)
  }

  func fill(_ address: UnsafeMutableRawPointer, word: UInt32, count: Int) {
    guard count > 0 else { return }
    context.run("filling memory") {
      context.driver.cuMemsetD32Async(
        CUdeviceptr(UInt(bitPattern: address)), word, count, context.stream)
    }
  }

  func copyIn(_ source: UnsafeRawBufferPointer, to address: UnsafeMutableRawPointer) {
    staging.copy(source, to: address)
  }

  func copyOut(
    _ address: UnsafeRawPointer, into target: UnsafeMutableRawBufferPointer
  ) throws(DeviceError) {
    if let base = target.baseAddress, target.count > 0 {
      context.run("copying from the card") {
        context.driver.cuMemcpyDtoHAsync(
          base, CUdeviceptr(UInt(bitPattern: address)), target.count, context.stream)
      }
    }
    try context.synchronize()
  }
}
