import Tensor

extension GPUKernels {
  /// Adds the sum of all rows of `from`, `[R, C]`, to `to`, `[1, C]`.
  func addRows(of from: View, to: View) {
    driver.launch(
      GPUKernel("sum_rows", "add_rows"), grid: GPUGrid((from.columns + 31) / 32), block: 1_024,
      to.matrix, from.matrix)
  }
}
