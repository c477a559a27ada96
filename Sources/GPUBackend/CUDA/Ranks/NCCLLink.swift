import CCUDA
import Communication
import Foundation
import Synchronization
package import Tensor

/// Carries numbers from card to card by NCCL, on a stream of its own.
///
/// The call that exchanges waits for its end here and not on the card: so the limit of time holds, and a
/// rank that is gone is an error and no kernel that waits for ever.
package final class NCCLLink: DeviceLink {
  package let kernels: any Kernels
  private let driver: CUDADriver
  private let nccl: NCCL
  private let ranks: any Communicator
  private let communicator: Handle
  /// Nothing goes any more.
  private let isBroken = Atomic<Bool>(false)

  /// A handle, used by one thread at a time.
  private struct Handle: @unchecked Sendable { let value: ncclComm_t }

  package var description: String { "NCCL \(nccl.version) (\(nccl.path))" }

  /// Meets the other ranks, each with a card of its own, and tries the way to each of them.
  ///
  /// - Parameters:
  ///   - nccl: The library, of one version on all ranks.
  ///   - driver: Of this rank's card, for nothing else.
  ///   - precision: Of the run.
  ///   - id: Of rank 0.
  ///   - ranks: All of them.
  init(
    _ nccl: NCCL, _ driver: CUDADriver, _ precision: Precision, id: [UInt8],
    _ ranks: any Communicator
  ) throws {
    self.nccl = nccl
    self.driver = driver
    self.ranks = ranks
    kernels = GPUKernels(driver, precision: precision)
    driver.context.enter()
    communicator = Handle(
      value: try ranks.waiting {
        try nccl.join(id, rank: ranks.rank, size: ranks.size)
      })
    try test()
  }

  deinit {
    guard !isBroken.load(ordering: .relaxed) else { return }
    driver.context.enter()
    _ = nccl.functions.ncclCommDestroy(communicator.value)
  }

  package func exchange(
    _ sent: View, _ outgoing: [Range<Int>], into received: View, _ incoming: [Range<Int>],
    isShared: () -> Bool
  ) throws {
    precondition(
      sent.isContiguous && received.isContiguous && sent.buffer.type == .float32
        && received.buffer.type == .float32, "float32 in one piece is carried")
    guard !isBroken.load(ordering: .relaxed) else {
      throw CommunicationError.unusable("NCCL has failed before, and carries nothing any more")
    }
    if (outgoing + incoming).allSatisfy(\.isEmpty) { return }
    do {
      try begin(sent, outgoing, received, incoming)
      try ranks.waiting { try wait(isShared) }
    } catch {
      // Ends what the card still does for it; the others are ended by whoever hears of this.
      driver.context.enter()
      isBroken.store(true, ordering: .relaxed)
      _ = nccl.functions.ncclCommAbort(communicator.value)
      throw error
    }
  }

  /// Puts one exchange into the order of the stream.
  private func begin(
    _ sent: View, _ outgoing: [Range<Int>], _ received: View, _ incoming: [Range<Int>]
  ) throws {
    try driver.check()
    driver.context.enter()
    let (functions, handle) = (nccl.functions, communicator.value)
    let (type, stream) = (ncclDataType_t(ncclFloat32), driver.context.stream)
    try nccl.check(functions.ncclGroupStart(), "beginning an exchange", handle)
    var code = ncclResult_t(ncclSuccess)
    // One to and one from every rank at most, so that nothing can be taken for something else.
    for rank in 0..<ranks.size {
      let (from, to) = (outgoing[rank], incoming[rank])
      if code == ncclSuccess, !from.isEmpty {
        code = functions.ncclSend(
          sent.address + 4 * from.lowerBound, from.count, type, Int32(rank), handle, stream)
      }
      if code == ncclSuccess, !to.isEmpty {
        code = functions.ncclRecv(
          received.address + 4 * to.lowerBound, to.count, type, Int32(rank), handle, stream)
      }
    }
    // A group that was begun must end, whatever has become of it.
    let ended = functions.ncclGroupEnd()
    try nccl.check(code, "asking for an exchange", handle)
    try nccl.check(ended, "beginning an exchange", handle)
  }

  /// Waits until the stream has done all it was asked for.
  private func wait(_ isShared: () -> Bool) throws {
    while try !driver.context.isDone() {
      var result = ncclResult_t(ncclSuccess)
      try nccl.check(
        nccl.functions.ncclCommGetAsyncError(communicator.value, &result), "exchanging",
        communicator.value)
      if result != ncclInProgress {
        try nccl.check(result, "exchanging", communicator.value)
      }
      if isShared() { usleep(50) } else { sched_yield() }
    }
  }

  /// Sends every rank a number of its own; what is wrong between two cards shows here, before a run
  /// begins.
  private func test() throws {
    let (own, all) = (ranks.rank, 0..<ranks.size)
    let sent = try kernels.makeView(rows: 1, columns: all.count)
    let received = try kernels.makeView(rows: 1, columns: all.count)
    try kernels.write(all.map { Float(1_000 * own + $0 + 1) }, to: sent)
    try exchange(sent, all.map { $0..<$0 + 1 }, into: received, all.map { $0..<$0 + 1 }) { false }
    let numbers = try kernels.numbers(of: received)
    for rank in all where numbers[rank] != Float(1_000 * rank + own + 1) {
      throw CommunicationError.unusable(
        "NCCL \(nccl.version) brings other numbers from rank \(rank) to rank \(own) than were sent; "
          + "LM_NCCL=off takes the way through MPI")
    }
  }
}
