import CUDASource
package import Tensor

extension GPUKernels {
  package func rmsNormForward(y: View, rstd: View, x: View, gain: View, epsilon: Float) {
    driver.launch(
      GPUKernel("rms_norm", "rms_norm_forward"), grid: .warps(x.rows), y.matrix, rstd.matrix,
      x.matrix, gain.matrix, epsilon)
  }

  package func rmsNormBackward(dx: View, dGain: View, dy: View, x: View, gain: View, rstd: View) {
    backward(
      dx: dx, copy: Matrix(), dGain: dGain, dy: dy, x: x, gain: gain, rstd: rstd)
  }

  package func rmsNormBackward(
    dx: View, copy: View, dGain: View, dy: View, x: View, gain: View, rstd: View
  ) {
    backward(
      dx: dx, copy: copy.matrix, dGain: dGain, dy: dy, x: x, gain: gain, rstd: rstd)
  }

  private func backward(
    dx: View, copy: Matrix, dGain: View, dy: View, x: View, gain: View, rstd: View
  ) {
    let blocks = (x.rows + 63) / 64
    // Eight, or as many as have room for a row each in 48 KiB of shared memory.
    let warps = max(1, min(8, (48 << 10) / (4 * x.columns)))
    precondition(4 * x.columns <= 48 << 10, "rows of \(x.columns)")
    scratch.lendViews([(blocks, x.columns)]) { parts in
      driver.launch(
        GPUKernel("rms_norm", "rms_norm_backward"), grid: GPUGrid(blocks), block: 32 * warps,
        sharedBytes: warps * 4 * x.columns, dx.matrix, copy, parts[0].matrix,
        dy.matrix, x.matrix, gain.matrix, rstd.matrix)
      addRows(of: parts[0], to: dGain)
    }
  }
}
