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
  private let sum: GradientSum
  private let nodes: [View]
  private let condition = NSCondition()
  private var waiting: [Partition.Segment] = []
  private var left = 0
  private var problem: (any Error)?
  private var isStarted = false
  private var isClosed = false
  /// Whether nobody computes any more, so that the thread need not leave the processor to others.
  private let isAwaited = Atomic<Bool>(false)

  /// - Parameters:
  ///   - sum: Adds a segment.
  ///   - nodes: The sums of the rank's own nodes, each all weights.
  init(_ sum: GradientSum, nodes: [View]) {
    self.sum = sum
    self.nodes = nodes
  }

  private func start() {
    isStarted = true
    let thread = Thread { [self] in
      while let segment = next() { run(segment) }
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

  /// Hands over the segments that the backward pass has finished with a stage.
  func add(stage: Int) {
    let segments = segments(stage: stage)
    condition.lock()
    if !isStarted { start() }
    waiting += segments
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
  }

  private func next() -> Partition.Segment? {
    condition.lock()
    defer { condition.unlock() }
    while waiting.isEmpty, !isClosed { condition.wait() }
    return waiting.isEmpty ? nil : waiting.removeFirst()
  }

  private func run(_ segment: Partition.Segment) {
    var thrown: (any Error)?
    Parallel.serially {
      do {
        try sum.add(segment, nodes) { !self.isAwaited.load(ordering: .relaxed) }
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
