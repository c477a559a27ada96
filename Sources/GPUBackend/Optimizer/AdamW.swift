import CUDASource
import Foundation
package import Tensor

extension GPUKernels {
  package func adamW(
    parameters: View, gradients: View, firstMoment: View, secondMoment: View, _ step: AdamWStep
  ) {
    let count = parameters.count
    precondition(step.step >= 1, "AdamW counts its steps from 1, not \(step.step)")
    precondition(
      gradients.count == count && firstMoment.count == count && secondMoment.count == count,
      "AdamW over \(count) parameters, \(gradients.count) gradients,"
        + " \(firstMoment.count) and \(secondMoment.count) moments")
    let correction1 = 1 - pow(Double(step.beta1), Double(step.step))
    let correction2 = 1 - pow(Double(step.beta2), Double(step.step))
    let numbers = AdamWNumbers(
      beta1: step.beta1, oneMinusBeta1: Float(1 - Double(step.beta1)), beta2: step.beta2,
      oneMinusBeta2: Float(1 - Double(step.beta2)),
      shrink: Float(1 - Double(step.rate) * Double(step.decay)),
      stepSize: Float(-Double(step.rate) / correction1),
      rootScale: Float(1 / correction2.squareRoot()), epsilon: step.epsilon,
      gradientScale: step.gradientScale)
    for part in Self.rows(of: count) {
      driver.launch(
        GPUKernel("adamw", "adamw"), grid: .threads((part.count + 7) / 8),
        parameters.flat(part).matrix, firstMoment.flat(part).matrix,
        secondMoment.flat(part).matrix, gradients.flat(part).matrix, numbers)
    }
  }

  /// Elements of one launch; kernels count columns in 32 bits.
  static func rows(of count: Int) -> [Range<Int>] {
    let most = 1 << 30
    return stride(from: 0, to: count, by: most).map { $0..<min(count, $0 + most) }
  }
}

extension View {
  /// Elements of contiguous memory as one row.
  func flat(_ range: Range<Int>) -> View {
    precondition(isContiguous, "a strided view as one row")
    return View(buffer, offset: offset + range.lowerBound, rows: 1, columns: range.count)
  }
}
