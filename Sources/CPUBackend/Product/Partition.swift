/// A length cut into blocks of one width, the last one a little shorter or longer.
///
/// The cut follows from the length alone, so that it is the same for any number of threads.
struct Partition: Sendable {
  let total: Int
  let width: Int
  let count: Int

  /// Cuts `total` into blocks of about `target`, all but the last a multiple of `quantum`.
  ///
  /// A rest shorter than one quantum joins the last block instead of standing alone.
  init(_ total: Int, near target: Int, multipleOf quantum: Int) {
    let wanted = max(1, (total + target / 2) / target)
    let even = (total + wanted - 1) / wanted
    width = max(quantum, (even + quantum - 1) / quantum * quantum)
    let full = total / width
    count = max(1, total - full * width >= quantum ? full + 1 : full)
    self.total = total
  }

  /// Length of the longest block.
  var longest: Int { max(min(width, total), total - (count - 1) * width) }

  subscript(index: Int) -> Range<Int> {
    index * width..<(index == count - 1 ? total : (index + 1) * width)
  }
}
