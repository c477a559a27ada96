/// A length cut into blocks that differ by one quantum at most.
///
/// Unlike ``Partition`` it may follow from the number of threads, so it is for what moves no bit.
struct EvenPartition: Sendable {
  private let total: Int
  private let quantum: Int
  private let quanta: Int
  let count: Int

  /// Cuts `total` into blocks of about `target`, whose work `threads` threads can share evenly.
  ///
  /// - Parameters:
  ///   - total: Length, at least 1.
  ///   - target: Length of a block.
  ///   - quantum: What blocks are multiples of, but for the last one.
  ///   - factor: How many pieces of work every block is.
  ///   - threads: Which take the next piece when they have ended one.
  init(
    _ total: Int, near target: Int, multipleOf quantum: Int, times factor: Int, over threads: Int
  ) {
    self.total = total
    self.quantum = quantum
    quanta = (total + quantum - 1) / quantum
    let wanted = min(quanta, max(1, (total + target / 2) / target))
    // So many blocks, or a multiple of it, are as many pieces for every thread.
    let step = threads / Self.commonDivisor(threads, factor)
    let even = wanted / step * step
    count = even > 0 ? even : wanted
  }

  private static func commonDivisor(_ a: Int, _ b: Int) -> Int {
    b == 0 ? a : commonDivisor(b, a % b)
  }

  subscript(index: Int) -> Range<Int> {
    quanta * index / count * quantum..<min(total, quanta * (index + 1) / count * quantum)
  }
}
