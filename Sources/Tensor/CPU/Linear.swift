/// The linear layer `y = x wᵀ` without bias, `x [N, I]`, `w [O, I]`, `y [N, O]`.
///
/// Parameters accumulate (`dw +=`); `accumulate` chooses for activations, so that the branches of
/// a residual stream can add up without a buffer in between.
extension CPUKernels {
  /// `y (+)= x wᵀ`; the bits of a row depend on its row of `x` and on `w` alone.
  package func linearForward(y: View, x: View, w: View, accumulate: Bool) {
    precondition(
      y.rows == x.rows && x.columns == w.columns && y.columns == w.rows,
      "y [\(y.rows), \(y.columns)], x [\(x.rows), \(x.columns)], w [\(w.rows), \(w.columns)]")
    rowProduct(y: y, x: x, w: w, accumulate: accumulate)
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
