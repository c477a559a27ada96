import CUDASource
package import Tensor

extension GPUKernels {
  package func rmsNormForward(y: View, rstd: View, x: View, gain: View, epsilon: Float) {
    driver.launch(
      GPUKernel("rms_norm", "rms_norm_forward"), grid: .warps(x.rows), y.matrix, rstd.matrix,
      x.matrix, gain.matrix, epsilon)
  }

  package func rmsNormBackward(dx: View, dGain: View, dy: View, x: View, gain: View, rstd: View) {
    backward(dx: dx, copy: Matrix(), dGain: dGain, dy: dy, from: x, gain: gain, rstd: rstd)
  }

  package func rmsNormBackward(
    dx: View, copy: View, dGain: View, dy: View, x: View, gain: View, rstd: View
  ) {
    backward(dx: dx, copy: copy.matrix, dGain: dGain, dy: dy, from: x, gain: gain, rstd: rstd)
  }

  package func rmsNormBackward(
    dx: View, dGain: View, dy: View, y: View, gain: View, rstd: View, accumulate: Bool
  ) {
    backward(
      dx: dx, copy: Matrix(), dGain: dGain, dy: dy, from: y, isOutput: true, gain: gain,
      rstd: rstd, accumulate: accumulate)
  }

  private func backward(
    dx: View, copy: Matrix, dGain: View, dy: View, from: View, isOutput: Bool = false, gain: View,
    rstd: View, accumulate: Bool = true
  ) {
    let (rows, columns) = (from.rows, from.columns)
    let blocks = (rows + 63) / 64
    // Eight, or as many as have room for a row each in 48 KiB of shared memory.
    let warps = max(1, min(8, (48 << 10) / (4 * columns)))
    precondition(4 * columns <= 48 << 10, "rows of \(columns)")
    var suffix = columns <= 512 ? "_512" : columns <= 1_024 ? "_1024" : ""
    let isPairs = [dx.matrix, dy.matrix, from.matrix].allSatisfy {
      $0.type == Int32(NUMBER_BF16) && $0.aligned != 0
    }
    if isOutput && isPairs && columns % 8 == 0 && !suffix.isEmpty { suffix += "_bf16" }
    scratch.lendViews([(blocks, columns)]) { parts in
      driver.launch(
        GPUKernel("rms_norm", "rms_norm_backward" + suffix), grid: GPUGrid(blocks),
        block: 32 * warps,
        sharedBytes: warps * 4 * columns, dx.matrix, copy, parts[0].matrix, dy.matrix,
        from.matrix, gain.matrix, rstd.matrix, Int32(isOutput ? 1 : 0),
        Int32(accumulate ? 1 : 0))
      addRows(of: parts[0], to: dGain)
    }
  }
}
