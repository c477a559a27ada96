package import Tensor

extension GPUKernels {
  package func swiGLUForward(y: View, gateUp: View) {
    driver.launch(
      GPUKernel("swiglu", "swiglu_forward"), grid: .eights(of: y), y.matrix,
      gateUp.half(0).matrix, gateUp.half(1).matrix)
  }

  package func swiGLUBackward(dGateUp: View, y: View, dy: View, gateUp: View) {
    driver.launch(
      GPUKernel("swiglu", "swiglu_backward"), grid: .eights(of: y), dGateUp.half(0).matrix,
      dGateUp.half(1).matrix, y.matrix, dy.matrix, gateUp.half(0).matrix, gateUp.half(1).matrix)
  }
}

extension View {
  /// The gate, or what it opens for.
  fileprivate func half(_ index: Int) -> View {
    columns(index * columns / 2..<(index + 1) * columns / 2)
  }
}
