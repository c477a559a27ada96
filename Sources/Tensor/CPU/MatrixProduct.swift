import CBLAS

/// A length cut into blocks of one width, the last one a little shorter or longer.
///
/// The cut follows from the length alone, so that it is the same for any number of threads.
struct Blocks: Sendable {
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

  subscript(index: Int) -> Range<Int> {
    index * width..<(index == count - 1 ? total : (index + 1) * width)
  }
}

/// `y (+)= a b` on the calling thread; either factor may be read transposed.
///
/// `y [M, K]`; `a [M, J]` or, transposed, `[J, M]`; `b [J, K]` or, transposed, `[K, J]`.
func matrixProduct(
  y: View, a: View, transposedA: Bool = false, b: View, transposedB: Bool = false,
  accumulate: Bool
) {
  let inner = transposedA ? a.rows : a.columns
  precondition(
    (transposedA ? a.columns : a.rows) == y.rows
      && (transposedB ? b.rows : b.columns) == y.columns
      && (transposedB ? b.columns : b.rows) == inner,
    "[\(y.rows), \(y.columns)] is not the product of [\(a.rows), \(a.columns)]"
      + " and [\(b.rows), \(b.columns)], transposed \(transposedA), \(transposedB)")
  guard y.count > 0 else { return }
  _ = Parallel.singleThreadedBLAS
  cblas_sgemm(
    CblasRowMajor, transposedA ? CblasTrans : CblasNoTrans,
    transposedB ? CblasTrans : CblasNoTrans, Int32(y.rows), Int32(y.columns), Int32(inner), 1,
    a.base, Int32(max(a.stride, 1)), b.base, Int32(max(b.stride, 1)), accumulate ? 1 : 0, y.base,
    Int32(y.stride))
}

/// `y (+)= a b` as `matrixProduct`, each pair of a row block and a column block one piece of work.
func matrixProduct(
  y: View, a: View, transposedA: Bool = false, b: View, transposedB: Bool = false,
  accumulate: Bool, rowBlocks: Blocks, columnBlocks: Blocks
) {
  precondition(rowBlocks.total == y.rows && columnBlocks.total == y.columns)
  // Row blocks run fastest: consecutive pieces share the columns of `b`, usually the weights.
  parallelFor(rowBlocks.count * columnBlocks.count) { index in
    let rows = rowBlocks[index % rowBlocks.count]
    let columns = columnBlocks[index / rowBlocks.count]
    matrixProduct(
      y: y.rows(rows).columns(columns), a: transposedA ? a.columns(rows) : a.rows(rows),
      transposedA: transposedA, b: transposedB ? b.rows(columns) : b.columns(columns),
      transposedB: transposedB, accumulate: accumulate)
  }
}
