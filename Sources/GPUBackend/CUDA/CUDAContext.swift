import CCUDA
import Synchronization
import Tensor

/// One card in use: its context, the stream of one driver, and what went wrong there.
///
/// Several of one card share its memory, and the work of each is done beside that of the others.
///
/// Every call makes the context the calling thread's own first, because tasks move between threads.
final class CUDAContext: @unchecked Sendable {
  // Unchecked because of the handles, which never change and which any thread may use.
  let card: CUDACard
  let driver: CUDADriverFunctions
  let stream: CUstream
  private let context: CUcontext
  private let device: CUdevice
  private let faults = Mutex(Faults())

  private struct Faults {
    var first: DeviceError?
    /// Nothing can succeed any more, so `first` stays.
    var areFinal = false
  }

  /// - Parameters:
  ///   - card: Which.
  ///   - driver: Its functions.
  ///   - isUrgent: Whether blocks of its kernels come before those of others that wait for room.
  init(
    _ card: CUDACard, _ driver: CUDADriverFunctions, isUrgent: Bool = false
  ) throws(DeviceError) {
    self.card = card
    self.driver = driver
    var device: CUdevice = 0
    var context: CUcontext?
    var stream: CUstream?
    var result = driver.cuDeviceGet(&device, Int32(card.number))
    if result == CUDA_SUCCESS { result = driver.cuDevicePrimaryCtxRetain(&context, device) }
    if result == CUDA_SUCCESS { result = driver.cuCtxSetCurrent(context) }
    // Work of the default stream, which nobody here uses, is not waited for.
    if result == CUDA_SUCCESS {
      result = driver.cuStreamCreateWithPriority(
        &stream, UInt32(CU_STREAM_NON_BLOCKING), isUrgent ? -1 : 0)
    }
    guard result == CUDA_SUCCESS, let context, let stream else {
      throw CUDAFault(result, driver).error(device: card.name, doing: "opening the card")
    }
    self.device = device
    self.context = context
    self.stream = stream
  }

  deinit {
    _ = driver.cuCtxSetCurrent(context)
    _ = driver.cuStreamDestroy(stream)
    _ = driver.cuDevicePrimaryCtxRelease(device)
  }

  /// Makes the context that of this thread; done before any other call.
  func enter() { _ = driver.cuCtxSetCurrent(context) }

  /// Runs a call of the driver, unless something has gone wrong before.
  ///
  /// - Parameters:
  ///   - action: What it does, for an error.
  ///   - body: The call.
  /// - Returns: Whether it succeeded; if not, the fault is remembered.
  @discardableResult
  func run(_ action: @autoclosure () -> String, _ body: () -> CUresult) -> Bool {
    guard isSound else { return false }
    enter()
    let result = body()
    if result == CUDA_SUCCESS { return true }
    fail(result, doing: action())
    return false
  }

  /// Whether nothing has gone wrong that nobody has heard of.
  var isSound: Bool { faults.withLock { $0.first == nil } }

  /// Remembers a fault; the first one counts.
  func fail(_ error: DeviceError) { faults.withLock { $0.first = $0.first ?? error } }

  /// Remembers a result of the driver.
  func fail(_ result: CUresult, doing action: String) {
    let fault = CUDAFault(result, driver)
    let error = fault.error(device: card.name, doing: action)
    faults.withLock { faults in
      // What ended the card's work explains more than what came of it.
      if faults.first == nil || fault.isFinal && !faults.areFinal { faults.first = error }
      if fault.isFinal { faults.areFinal = true }
    }
  }

  /// Throws what has gone wrong; once, unless nothing can succeed any more.
  func raise() throws(DeviceError) {
    let error = faults.withLock { faults in
      defer { if !faults.areFinal { faults.first = nil } }
      return faults.first
    }
    if let error { throw error }
  }

  /// Throws what has gone wrong, as far as the card has told; does not wait.
  func check() throws(DeviceError) {
    if isSound {
      enter()
      let result = driver.cuStreamQuery(stream)
      if result != CUDA_SUCCESS && result != CUDA_ERROR_NOT_READY {
        fail(result, doing: "working")
      }
    }
    try raise()
  }

  /// Whether all work is done; does not wait.
  func isDone() throws(DeviceError) -> Bool {
    try raise()
    enter()
    let result = driver.cuStreamQuery(stream)
    if result == CUDA_ERROR_NOT_READY { return false }
    if result != CUDA_SUCCESS { fail(result, doing: "working") }
    try raise()
    return true
  }

  /// Waits for all work, and throws what went wrong.
  func synchronize() throws(DeviceError) {
    run("waiting for the card") { driver.cuStreamSynchronize(stream) }
    try raise()
  }
}
