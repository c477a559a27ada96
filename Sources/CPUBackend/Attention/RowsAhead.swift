import CProcessor
import Tensor

/// Rows that a pass over a long sequence touches next, asked for a few at a time while it computes.
///
/// A pass goes through eight matrices at once, from right to left by segments, which the processor
/// does not foresee. It keeps some twenty requests open and forgets the rest, so a whole block asked
/// for at once comes only in part: products ask between their tiles instead.
struct RowsAhead {
  private struct Cursor {
    var next: Int
    var end: Int
    /// Rows of a step.
    var pace: Int
  }

  private let queue: UnsafeMutablePointer<UnsafePointer<Float>>  // [capacity]
  private let cursor: UnsafeMutablePointer<Cursor>
  private let capacity: Int
  /// Lines of 64 bytes of a row.
  private let lines: Int

  private static let cursorFloats = MemoryLayout<Cursor>.stride / MemoryLayout<Float>.stride
  private static let rowFloats =
    MemoryLayout<UnsafePointer<Float>>.stride / MemoryLayout<Float>.stride

  init(_ shape: HeadShape, capacity: Int, _ scratch: inout Scratch) {
    queue = UnsafeMutableRawPointer(scratch.take(Self.rowFloats * capacity))
      .bindMemory(to: UnsafePointer<Float>.self, capacity: capacity)
    cursor = UnsafeMutableRawPointer(scratch.take(Self.cursorFloats))
      .bindMemory(to: Cursor.self, capacity: 1)
    self.capacity = capacity
    lines = (max(shape.keyWidth, shape.valueWidth) + 15) / 16
  }

  /// Begins with nothing, whatever the memory holds.
  func reset() { cursor.initialize(to: Cursor(next: 0, end: 0, pace: 1)) }

  /// Asks for what is left, and begins anew.
  ///
  /// - Parameter pace: Rows of a step.
  func restart(pace: Int) {
    while cursor.pointee.next < cursor.pointee.end { step() }
    cursor.pointee = Cursor(next: 0, end: 0, pace: pace)
  }

  func add(_ row: UnsafePointer<Float>) {
    let end = cursor.pointee.end
    precondition(end < capacity, "more than \(capacity) rows ahead")
    (queue + end).initialize(to: row)
    cursor.pointee.end = end + 1
  }

  /// Adds a row, unless it lies before the first.
  func add(_ rows: StridedRows, _ row: Int) {
    if row >= 0 { add(rows[row]) }
  }

  /// Asks for the next few.
  func step() {
    let first = cursor.pointee.next
    let next = min(cursor.pointee.end, first + cursor.pointee.pace)
    for index in first..<next {
      let row = queue[index]
      for line in 0..<lines { cp_prefetch(row + 16 * line) }
    }
    cursor.pointee.next = next
  }
}
