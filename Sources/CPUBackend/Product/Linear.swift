import Host
package import Tensor

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
    if form == .float32 && y.rows < fewRows {
      fewRowsForward(y: y, x: x, w: w, accumulate: accumulate)
    } else {
      gemm(c: y, a: .kContiguous(x), b: .kContiguous(w), accumulate: accumulate, form: form)
    }
  }

  /// Copying few rows out of bands costs less than packing all of `w`.
  private func fewRowsForward(y: View, x: View, w: View, accumulate: Bool) {
    if x.hasOneBand && y.hasOneBand {
      return rowProduct(y: y, x: x, w: w, accumulate: accumulate)
    }
    Scratch.lend(carving: { scratch in
      (
        scratch.takeView(rows: x.rows, columns: x.columns),
        scratch.takeView(rows: y.rows, columns: y.columns)
      )
    }) { plainX, plainY in
      plainX.copy(from: x)
      if accumulate { plainY.copy(from: y) }
      rowProduct(y: plainY, x: plainX, w: w, accumulate: accumulate)
      y.copy(from: plainY)
    }
  }

  /// `dx (+)= dy w`; `accumulate` chooses `+=`.
  package func linearBackwardInput(dx: View, dy: View, w: View, accumulate: Bool) {
    gemm(c: dx, a: .kContiguous(dy), b: .mnContiguous(w), accumulate: accumulate, form: form)
  }

  /// `dw += dyᵀ x`; every element is summed over all positions by one thread.
  package func linearBackwardWeight(dw: View, dy: View, x: View) {
    gemm(c: dw, a: .mnContiguous(dy), b: .mnContiguous(x), accumulate: true, form: form)
  }
}
