import Deterministic
import Foundation
import Model
import Synchronization
import Tensor

/// Adds up segments of the gradient over the ranks while the backward pass still computes others.
///
/// A thread of its own exchanges what it is given, in that order, which is the same on every rank. Only
/// it talks to the other ranks until ``wait()`` returns.
///
/// `@unchecked Sendable`: what the two threads share is touched under the lock of `condition`; the
/// memory of a segment belongs to the thread from ``add(stage:)`` on.
final class GradientExchange: @unchecked Sendable {
  private let kernels: any Kernels
  private let sum: GradientSum
  private let nodes: [View]
  private let condition = NSCondition()
  /// Segments, and the work of the device that computes them.
  private var waiting: [(segment: Partition.Segment, mark: WorkMark?)] = []
  private var left = 0
  private var problem: (any Error)?
  private var isStarted = false
  private var isClosed = false
  /// Whether nobody computes any more, so that the thread need not leave the processor to others.
  private let isAwaited = Atomic<Bool>(false)

  /// - Parameters:
  ///   - kernels: Which compute the gradient.
  ///   - sum: Adds a segment.
  ///   - nodes: The sums of the rank's own nodes, each all weights.
  init(_ kernels: any Kernels, _ sum: GradientSum, nodes: [View]) {
    self.kernels = kernels
    self.sum = sum
    self.nodes = nodes
  }

  private func start() {
    isStarted = true
    let thread = Thread { [self] in
      while let (segment, mark) = next() { run(segment, after: mark) }
    }
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// Lets the thread end.
  func close() {
    condition.lock()
    isClosed = true
    condition.broadcast()
    condition.unlock()
  }

  /// The segments that the backward pass has all of with a stage.
  func segments(stage: Int) -> [Partition.Segment] {
    sum.partition.segments.filter { $0.stage == stage }
  }

  /// Hands over the segments that the backward pass has finished with a stage, or has asked the device
  /// for all work on.
  func add(stage: Int) {
    let segments = segments(stage: stage)
    var (mark, fault): (WorkMark?, DeviceError?)
    do throws(DeviceError) {
      mark = try kernels.mark()
    } catch {
      fault = error
    }
    condition.lock()
    if !isStarted { start() }
    // They are exchanged all the same, since the others wait for them; the step fails afterwards.
    problem = problem ?? fault
    waiting += segments.map { ($0, mark) }
    left += segments.count
    condition.broadcast()
    condition.unlock()
  }

  /// Waits for all that was handed over.
  func wait() throws {
    isAwaited.store(true, ordering: .relaxed)
    condition.lock()
    while left > 0 { condition.wait() }
    let problem = problem
    self.problem = nil
    condition.unlock()
    isAwaited.store(false, ordering: .relaxed)
    if let problem { throw problem }
    try sum.finish()
  }

  private func next() -> (Partition.Segment, WorkMark?)? {
    condition.lock()
    defer { condition.unlock() }
    while waiting.isEmpty, !isClosed { condition.wait() }
    return waiting.isEmpty ? nil : waiting.removeFirst()
  }

  private func run(_ segment: Partition.Segment, after mark: WorkMark?) {
    var thrown: (any Error)?
    Parallel.serially {
      do {
        try sum.add(segment, nodes, after: mark) { !self.isAwaited.load(ordering: .relaxed) }
      } catch {
        thrown = error
      }
    }
    condition.lock()
    problem = problem ?? thrown
    left -= 1
    condition.broadcast()
    condition.unlock()
  }
}
