import Foundation
import GPUBackend
import Tensor
import TestSupport
import Testing

/// Memory, copies, launches and faults of a card.
@Suite struct DriverTests {
  @Sendable private func sentence(_ body: () throws(DeviceError) -> Void) -> String {
    do throws(DeviceError) {
      try body()
      return ""
    } catch {
      return "\(error)"
    }
  }

  @Test(arguments: [0, 1]) func everythingIsGivenBack(pools: Int) throws {
    let sandbox = try CUDASandbox("pools=\(pools)")
    do {
      let driver = try sandbox.driver()
      let own = driver.heldBytes
      let kernels = GPUKernels(driver)
      let x = try kernels.makeView(rows: 100, columns: 33)
      kernels.fill(x.columns(1..<30), with: 2)
      let indices = try kernels.place([1, 2, 3])
      #expect(try kernels.numbers(of: x.rows(0..<1).columns(0..<2)) == [0, 2])
      #expect(driver.heldBytes >= own + 100 * 33 * 4 + 12)
      let free = try #require(driver.freeBytes)
      #expect(free > 1 << 32 && free <= 1 << 33 - driver.heldBytes)
      #expect(sandbox.count("live") >= driver.heldBytes)
      withExtendedLifetime(indices) {}
    }
    #expect(sandbox.count("pieces") == 0 && sandbox.count("live") == 0)
    #expect(sandbox.count("pinned") == 0)
    #expect((sandbox.count("cuMemAllocAsync") > 0) == (pools == 1))
  }

  /// More than the ring of pinned memory holds, and no multiple of its parts.
  @Test func longCopiesArriveWhole() throws {
    let kernels = GPUKernels(try CUDASandbox().driver())
    let x = try kernels.makeView(rows: 1, columns: 1_500_001)
    let numbers = (0..<x.count).map { Float($0) }
    try kernels.write(numbers, to: x)
    #expect(try kernels.numbers(of: x) == numbers)
  }

  @Test func aFullCardSaysWhatHelps() throws {
    let sandbox = try CUDASandbox("memory=100000000")
    let kernels = GPUKernels(try sandbox.driver())
    let x = try kernels.makeView(rows: 1, columns: 1_000_000)
    let text = sentence { () throws(DeviceError) in _ = try kernels.makeBuffer(count: 30_000_000) }
    #expect(
      text == "device cuda has no 115 MiB more: of its 96 MiB this run has 36 MiB, and 60 MiB are "
        + "free; a smaller --micro-batch-tokens of lm-train or --batch-tokens of lm-eval needs less"
    )
    // It is over as soon as it is said.
    try kernels.write([Float](repeating: 3, count: x.count), to: x)
    #expect(try kernels.numbers(of: x).last == 3)
  }

  /// What is asked for after a fault is not done; the fault is told until somebody has heard of it, and
  /// again for ever if nothing can work any more.
  @Test func faultsStay() throws {
    let sandbox = try CUDASandbox()
    let driver = try sandbox.driver()
    let kernels = GPUKernels(driver)
    let x = try kernels.makeView(rows: 4, columns: 8)
    try kernels.synchronize()
    sandbox.tell("cuLaunchKernel=700@2")
    kernels.fill(x.columns(0..<3), with: 1)
    kernels.fill(x.columns(0..<3), with: 2)
    let launches = sandbox.count("cuLaunchKernel")
    kernels.fill(x.columns(0..<3), with: 3)
    #expect(sandbox.count("cuLaunchKernel") == launches)
    let expected =
      "device cuda: a kernel failed (CUDA_ERROR_700, as told, noticed while launching fill_matrix), "
      + "which is a fault of this program or of the card; what was saved before is whole, and "
      + "--device cpu goes on from it"
    for _ in 0..<2 {
      #expect(sentence { () throws(DeviceError) in try driver.synchronize() } == expected)
      #expect(sentence { () throws(DeviceError) in try driver.check() } == expected)
      #expect(sentence { () throws(DeviceError) in _ = try kernels.numbers(of: x) } == expected)
      #expect(sentence { () throws(DeviceError) in _ = try driver.allocate(bytes: 9) } == expected)
    }
  }

  @Test func aFaultThatEndsNothingIsToldOnce() throws {
    let sandbox = try CUDASandbox()
    let kernels = GPUKernels(try sandbox.driver())
    let x = try kernels.makeView(rows: 4, columns: 8)
    sandbox.tell("cuMemcpyHtoDAsync_v2=1@1")
    let text = sentence { () throws(DeviceError) in
      try kernels.write([Float](repeating: 1, count: 32), to: x)
    }
    #expect(text == "device cuda: CUDA_ERROR_1, as told, while copying to the card")
    try kernels.write([Float](repeating: 2, count: 32), to: x)
    #expect(try kernels.numbers(of: x).allSatisfy { $0 == 2 })
  }

  @Test(arguments: [46, 214, 999]) func aLostCardIsCalledSo(code: Int) throws {
    let sandbox = try CUDASandbox()
    let driver = try sandbox.driver()
    sandbox.tell("cuStreamQuery=\(code)")
    let text = sentence { () throws(DeviceError) in try driver.check() }
    #expect(text.hasPrefix("device cuda: the card is lost (CUDA_ERROR_\(code)"), "\(text)")
    #expect(text.contains("go on from the last checkpoint"), "\(text)")
    // Buffers go while the error is on its way out: nothing of that may hide it.
    #expect(sentence { () throws(DeviceError) in try driver.synchronize() } == text)
  }

  /// Tasks move between threads; the fake refuses threads that have not made the context theirs.
  ///
  /// Each verb is the first that its thread asks for: one that entered the context would hide one that
  /// does not.
  @Test func anyThreadMayAsk() throws {
    let kernels = GPUKernels(try CUDASandbox().driver())
    let x = try kernels.makeView(rows: 8, columns: 40)
    let part = x.columns(0..<39)
    // Finding a kernel enters the context too.
    kernels.fill(part, with: 1)
    kernels.linearForward(y: x.rows(0..<8).columns(0..<8), x: part, w: part, accumulate: false)
    try kernels.synchronize()
    let verbs: [(name: String, ask: @Sendable () throws(DeviceError) -> Void)] = [
      ("set memory", { () throws(DeviceError) in kernels.fill(x, with: 3) }),
      ("launch", { () throws(DeviceError) in kernels.fill(part, with: 2) }),
      ("take memory", { () throws(DeviceError) in _ = try kernels.makeBuffer(count: 9) }),
      (
        "copy in",
        { () throws(DeviceError) in try kernels.write([4], to: x.rows(0..<1).columns(0..<1)) }
      ),
      ("copy out", { () throws(DeviceError) in _ = try kernels.numbers(of: x) }),
      ("wait", { () throws(DeviceError) in try kernels.synchronize() }),
      (
        "multiply",
        { () throws(DeviceError) in
          kernels.linearForward(y: x.columns(0..<8), x: part, w: part, accumulate: false)
        }
      ),
    ]
    for (name, ask) in verbs {
      let text =
        onNewThread { sentence(ask) }
        + sentence { () throws(DeviceError) in try kernels.synchronize() }
      #expect(text.isEmpty, "\(name): \(text)")
    }
    #expect(try kernels.numbers(of: x.rows(0..<1).columns(39..<40)) == [3])
  }

  private final class Answer: @unchecked Sendable {
    var text = ""
  }

  private func onNewThread(_ body: @escaping @Sendable () -> String) -> String {
    let (answer, done) = (Answer(), DispatchSemaphore(value: 0))
    Thread.detachNewThread {
      answer.text = body()
      done.signal()
    }
    done.wait()
    return answer.text
  }

  /// What a kernel has beside its own is not known, so all of it is asked for: whenever it grows.
  @Test func sharedMemoryIsAllowed() throws {
    let sandbox = try CUDASandbox("cuLaunchKernel=1")
    let driver = try sandbox.driver()
    for bytes in [0, 4 << 10, 100 << 10, 90 << 10] {
      driver.launch(
        GPUKernel("sum_rows", "add_rows"), grid: GPUGrid(1), block: 32, sharedBytes: bytes,
        arguments: UnsafeMutableBufferPointer(start: nil, count: 0))
      _ = try? driver.synchronize()
    }
    #expect(sandbox.count("cuFuncSetAttribute") == 2)
    #expect(sandbox.count("cuLaunchKernel") == 4)
  }
}
