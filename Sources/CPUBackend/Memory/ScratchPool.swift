import Deterministic
import Foundation
import Host
import Tensor

/// Working memory that outlives a call, so that a training step allocates nothing.
///
/// A buffer is out of the pool while a kernel uses it: concurrent calls get different ones.
enum ScratchPool {
  /// Buffers kept while nobody uses them.
  ///
  /// Attention borrows one for every thread and one that all share, a matrix product inside a task
  /// another; a few more are of other sizes.
  private static var mostIdle: Int { 4 + 2 * Parallel.threads }

  /// Floats of a huge page, the smallest buffer there is: so any buffer serves any small request.
  private static let leastCount = 1 << 19

  /// An `NSLock`: the thread sanitizer knows nothing of `Mutex` on Linux, and would report every
  /// buffer that passes from one thread to another as a race.
  private static let lock = NSLock()
  /// Buffers that nobody uses; touched under `lock` alone.
  private nonisolated(unsafe) static var idle: [Buffer] = []

  /// Told of every size that is borrowed on this thread; see ``WorkingMemory``.
  @TaskLocal static var recorder: WorkingMemory.Recorder?

  /// Floats of the buffer that is made for a request of `count`.
  static func allocated(_ count: Int) -> Int { max(count, leastCount) }

  /// Forgets the buffers that nobody uses.
  static func drain() { lock.withLock { idle = [] } }

  /// Makes buffers of at least so many floats each in place of those that nobody uses, and touches
  /// their pages: until then they would be an address and no memory.
  static func reserve(_ counts: [Int], device: String) throws(DeviceError) {
    drain()
    for count in counts {
      let buffer = try HostMemory.allocate(count: allocated(count), device: device)
      buffer.base.update(repeating: 0, count: buffer.count)
      lock.withLock { idle.append(buffer) }
    }
  }

  /// Lends a buffer of at least `count` floats with undefined contents for the time of `body`.
  static func borrow(_ count: Int, _ body: (Buffer) -> Void) {
    let buffer = removeIdle(count) ?? Buffer(count: allocated(count))
    recorder?.lend(count)
    body(buffer)
    recorder?.giveBack(count)
    lock.withLock {
      idle.append(buffer)
      // Sizes vary with the batch: without a bound every larger request would leave one behind.
      if idle.count > mostIdle {
        let smallest = idle.indices.min { idle[$0].count < idle[$1].count }
        if let smallest { idle.remove(at: smallest) }
      }
    }
  }

  /// The smallest idle buffer of at least `count` floats.
  ///
  /// Where none is large enough, the largest idle one is dropped: the larger buffer that is made
  /// instead can do its work, too.
  private static func removeIdle(_ count: Int) -> Buffer? {
    lock.withLock {
      let fitting = idle.indices.filter { idle[$0].count >= count }
      if let best = fitting.min(by: { idle[$0].count < idle[$1].count }) {
        return idle.remove(at: best)
      }
      let largest = idle.indices.max { idle[$0].count < idle[$1].count }
      if let largest { idle.remove(at: largest) }
      return nil
    }
  }
}
