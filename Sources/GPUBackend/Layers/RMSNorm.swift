package import Tensor

extension GPUKernels {
  package func rmsNormForward(y: View, rstd: View, x: View, gain: View, epsilon: Float) {
    driver.launch(
      GPUKernel("rms_norm", "rms_norm_forward"), grid: .warps(x.rows), y.matrix, rstd.matrix,
      x.matrix, gain.matrix, epsilon)
  }

  package func rmsNormBackward(dx: View, dGain: View, dy: View, x: View, gain: View, rstd: View) {
    let chunks = (x.rows + 63) / 64
    scratch.lendViews([(chunks, x.columns)]) { parts in
      driver.launch(
        GPUKernel("rms_norm", "rms_norm_gain_shares"),
        grid: GPUGrid((x.columns + 255) / 256, chunks), parts[0].matrix, dy.matrix, x.matrix,
        rstd.matrix)
      addRows(of: parts[0], to: dGain)
    }
    driver.launch(
      GPUKernel("rms_norm", "rms_norm_backward"), grid: .warps(x.rows), dx.matrix, dy.matrix,
      x.matrix, gain.matrix, rstd.matrix)
  }
}
