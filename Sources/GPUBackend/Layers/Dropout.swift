package import Deterministic
package import Tensor

extension GPUKernels {
  package func dropout(x: View, probability: Float, random: CounterRandom, rowOffset: Int) {
    precondition(
      probability >= 0 && probability < 1, "dropout probability \(probability) is not in [0, 1)")
    guard probability > 0 else { return }
    driver.launch(
      GPUKernel("residual", "dropout"), grid: .eights(of: x), x.matrix, random.key,
      UInt64(truncatingIfNeeded: rowOffset), UInt32((probability * 0x1p24).rounded()),
      1 / (1 - probability))
  }
}
