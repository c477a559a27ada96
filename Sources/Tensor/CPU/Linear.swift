/// The linear layer `y = x wᵀ` without bias, `x [N, I]`, `w [O, I]`, `y [N, O]`.
///
/// Parameters accumulate (`dw +=`); `accumulate` chooses for activations, so that the branches of
/// a residual stream can add up without a buffer in between.
extension CPUKernels {
  /// `y (+)= x wᵀ`, every row's bits independent of the rows beside it.
  ///
  /// OpenBLAS rounds rows of full tiles and of ragged edges differently, so the row count is
  /// raised to `rowCapacity(N)`; the edges between output columns also matter (another kernel
  /// serves narrow products), so columns are cut at places that follow from O alone.
  ///
  /// - Precondition: The buffers of `x` and `y` hold `rowCapacity(N)` rows from the first row of
  ///   the view on. Rows past N of `x` are read, those of `y` hold undefined values afterwards.
  package func linearForward(y: View, x: View, w: View, accumulate: Bool) {
    precondition(
      y.rows == x.rows && x.columns == w.columns && y.columns == w.rows,
      "y [\(y.rows), \(y.columns)], x [\(x.rows), \(x.columns)], w [\(w.rows), \(w.columns)]")
    guard y.count > 0 else { return }
    let rows = rowCapacity(y.rows)
    // Below 64 outputs OpenBLAS takes its small-matrix kernel or not depending on the number of
    // rows (interface/gemm.c, rows · outputs <= 1200), so that number must not vary.
    let narrow = w.rows < 64
    matrixProduct(
      y: y.extended(toRows: rows), a: x.extended(toRows: rows), b: w, transposedB: true,
      accumulate: accumulate,
      rowBlocks: Blocks(rows, near: narrow ? rowQuantum : 8 * rowQuantum, multipleOf: rowQuantum),
      columnBlocks: Blocks(w.rows, near: min(768, max(128, w.rows / 2)), multipleOf: 64))
  }

  /// `dx (+)= dy w`; `accumulate` chooses `+=`.
  package func linearBackwardInput(dx: View, dy: View, w: View, accumulate: Bool) {
    matrixProduct(
      y: dx, a: dy, b: w, accumulate: accumulate,
      rowBlocks: Blocks(dx.rows, near: 192, multipleOf: 24),
      columnBlocks: Blocks(dx.columns, near: 512, multipleOf: 64))
  }

  /// `dw += dyᵀ x`; every element is summed over all positions by one thread.
  package func linearBackwardWeight(dw: View, dy: View, x: View) {
    matrixProduct(
      y: dw, a: dy, transposedA: true, b: x, accumulate: true,
      rowBlocks: Blocks(dw.rows, near: 256, multipleOf: 16),
      columnBlocks: Blocks(dw.columns, near: 512, multipleOf: 64))
  }
}

extension View {
  /// The same matrix with more rows; traps where the buffer has no room for them.
  func extended(toRows rows: Int) -> View {
    View(buffer, offset: offset, rows: rows, columns: columns, stride: stride)
  }
}
