import CProcessor

/// Prefetches the rows that a pass over a long sequence touches next, a few at a time while it
/// computes.
///
/// The processor does not foresee a pass that goes through eight matrices at once and from right to
/// left by segments. It keeps some twenty prefetches open and drops the rest, so of a whole block at
/// once only a part would come: products therefore prefetch between their tiles.
struct RowPrefetcher {
  private struct Cursor {
    var next: Int
    var end: Int
    var rowsAtOnce: Int
  }

  private let queue: UnsafeMutablePointer<UnsafePointer<Float>>  // [capacity]
  private let cursor: UnsafeMutablePointer<Cursor>
  private let capacity: Int
  /// Lines of 64 bytes of a row.
  private let lines: Int

  /// A queue of at most `capacity` rows of `width` floats; ``reset()`` comes before anything else.
  init(width: Int, capacity: Int, _ scratch: inout Scratch) {
    queue = scratch.take(capacity, of: UnsafePointer<Float>.self)
    cursor = scratch.take(1, of: Cursor.self)
    self.capacity = capacity
    lines = (width + 15) / 16
  }

  /// Empties the queue, whatever the memory holds.
  func reset() { cursor.initialize(to: Cursor(next: 0, end: 0, rowsAtOnce: 1)) }

  /// Prefetches what is left and begins a new queue.
  ///
  /// - Parameter rowsAtOnce: Rows that each ``prefetchNext()`` prefetches.
  func restart(rowsAtOnce: Int) {
    while cursor.pointee.next < cursor.pointee.end { prefetchNext() }
    cursor.pointee = Cursor(next: 0, end: 0, rowsAtOnce: rowsAtOnce)
  }

  /// Appends a row to the queue.
  func enqueue(_ row: UnsafePointer<Float>) {
    let end = cursor.pointee.end
    precondition(end < capacity, "more than \(capacity) rows to prefetch")
    (queue + end).initialize(to: row)
    cursor.pointee.end = end + 1
  }

  /// Prefetches the next few rows of the queue.
  func prefetchNext() {
    let first = cursor.pointee.next
    let next = min(cursor.pointee.end, first + cursor.pointee.rowsAtOnce)
    for index in first..<next {
      let row = queue[index]
      for line in 0..<lines { cp_prefetch(row + 16 * line) }
    }
    cursor.pointee.next = next
  }
}
