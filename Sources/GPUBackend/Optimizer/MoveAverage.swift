import CUDASource
package import Tensor

extension GPUKernels {
  package func moveAverage(_ average: View, towards x: View, share: Float) {
    precondition(
      x.count == average.count, "an average of \(average.count) numbers towards \(x.count)")
    for part in Self.rows(of: average.count) {
      driver.launch(
        GPUKernel("move_average", "move_average"), grid: .threads((part.count + 7) / 8),
        average.flat(part).matrix, x.flat(part).matrix, share)
    }
  }
}
