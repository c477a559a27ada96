import Synchronization

/// Working memory that outlives a call, so that a training step allocates nothing.
///
/// A buffer is out of the pool while a kernel uses it: concurrent calls get different ones.
enum ScratchPool {
  /// Buffers kept while nobody uses them.
  ///
  /// Attention lends one to every thread and one to them all, a matrix product inside a task
  /// another; a few more are of other sizes.
  private static var mostIdle: Int { 4 + 2 * Parallel.threads }

  /// Floats of a huge page: the buffers are few, and all up to this size serve each other's turn.
  private static let leastCount = 1 << 19

  private static let idle = Mutex<[Buffer]>([])

  /// Lends a buffer of at least `count` floats with undefined contents for the time of `body`.
  static func borrow(_ count: Int, _ body: (Buffer) -> Void) {
    let found: Buffer? = idle.withLock { buffers in
      let fitting = buffers.indices.filter { buffers[$0].count >= count }
      let best = fitting.min { buffers[$0].count < buffers[$1].count }
      return best.map { buffers.remove(at: $0) }
    }
    let buffer = found ?? Buffer(count: max(count, leastCount))
    body(buffer)
    idle.withLock { buffers in
      buffers.append(buffer)
      // Sizes vary with the batch: without a bound every larger request would leave one behind.
      if buffers.count > mostIdle {
        let smallest = buffers.indices.min { buffers[$0].count < buffers[$1].count }
        if let smallest { buffers.remove(at: smallest) }
      }
    }
  }
}
