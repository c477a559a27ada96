import CCUDA
import Tensor

/// A point in the work of a stream.
final class CUDAMark: Sendable {
  private let context: CUDAContext
  private let event: Event

  /// Handles are used by any thread.
  private struct Event: @unchecked Sendable { let handle: CUevent }

  /// The work that the stream has been given so far.
  init(_ context: CUDAContext) throws(DeviceError) {
    self.context = context
    var event: CUevent?
    context.run("marking work") {
      var result = context.driver.cuEventCreate(&event, UInt32(CU_EVENT_DISABLE_TIMING))
      if result == CUDA_SUCCESS { result = context.driver.cuEventRecord(event, context.stream) }
      return result
    }
    try context.raise()
    guard let event else {
      throw .failed(device: context.card.name, problem: "the driver has made no event")
    }
    self.event = Event(handle: event)
  }

  deinit {
    context.enter()
    // A stream that waits for it goes on waiting.
    _ = context.driver.cuEventDestroy(event.handle)
  }

  /// Lets the later work of another stream wait.
  func hold(_ other: CUDAContext) {
    other.run("waiting for other work of the card") {
      other.driver.cuStreamWaitEvent(other.stream, event.handle, 0)
    }
  }
}
