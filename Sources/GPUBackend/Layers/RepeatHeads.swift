package import Tensor

extension GPUKernels {
  package func repeatHeads(y: View, x: View, headWidth: Int) {
    driver.launch(
      GPUKernel("repeat_heads", "repeat_heads"), grid: .eights(of: y), y.matrix, x.matrix,
      Int32(headWidth))
  }

  package func repeatHeadsBackward(dx: View, dy: View, headWidth: Int) {
    driver.launch(
      GPUKernel("repeat_heads", "repeat_heads_backward"), grid: .eights(of: dx), dx.matrix,
      dy.matrix, Int32(headWidth))
  }
}
