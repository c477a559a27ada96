package import Tensor

extension GPUKernels {
  package func addBias(x: View, bias: View) {
    precondition(bias.count == x.columns, "x [\(x.rows), \(x.columns)], bias \(bias.count)")
    driver.launch(GPUKernel("bias", "add_bias"), grid: .eights(of: x), x.matrix, bias.matrix)
  }

  package func addBiasBackward(dBias: View, dy: View) { addRows(of: dy, to: dBias) }
}
