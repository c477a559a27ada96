import CProcessor
import Deterministic
import Foundation
import Host
package import Tensor

/// AdamW, one fused pass over parameters, gradients and both moments.
extension CPUKernels {
  /// One step of AdamW (Loshchilov and Hutter, 2019, arXiv 1711.05101, algorithm 2).
  ///
  ///     m = b1 m + (1-b1) g,  v = b2 v + (1-b2) g²
  ///     p = p · (1 - rate · decay) - rate / (1-b1^t) · m / (sqrt(v) / sqrt(1-b2^t) + epsilon)
  ///
  /// The order of operations is that of `torch.optim.AdamW`; corrections are computed in Double.
  ///
  /// - Precondition: All views are contiguous and of one size, `step >= 1`.
  package func adamW(
    parameters: View, gradients: View, firstMoment: View, secondMoment: View, _ step: AdamWStep
  ) {
    let count = parameters.count
    precondition(step.step >= 1, "AdamW counts its steps from 1, not \(step.step)")
    precondition(
      gradients.count == count && firstMoment.count == count && secondMoment.count == count
        && parameters.isContiguous && gradients.isContiguous && firstMoment.isContiguous
        && secondMoment.isContiguous,
      "AdamW over \(count) parameters, \(gradients.count) gradients,"
        + " \(firstMoment.count) and \(secondMoment.count) moments")
    let correction1 = 1 - pow(Double(step.beta1), Double(step.step))
    let correction2 = 1 - pow(Double(step.beta2), Double(step.step))
    let update = AdamWUpdate(
      gradientScale: step.gradientScale, beta1: step.beta1,
      oneMinusBeta1: Float(1 - Double(step.beta1)),
      beta2: step.beta2, oneMinusBeta2: Float(1 - Double(step.beta2)),
      shrink: Float(1 - Double(step.rate) * Double(step.decay)),
      stepSize: Float(-Double(step.rate) / correction1),
      rootScale: Float(1 / correction2.squareRoot()), epsilon: step.epsilon)
    parallelFor(count, grain: 1 << 15) { range in
      let p = parameters.base
      let g = gradients.base
      let m = firstMoment.base
      let v = secondMoment.base
      let whole = range.lowerBound + (range.count & ~15)
      var index = range.lowerBound
      while index < whole {
        let (newP, newM, newV) = update.apply(
          loadWide(p + index), loadWide(g + index), loadWide(m + index), loadWide(v + index))
        store(newP, p + index)
        store(newM, m + index)
        store(newV, v + index)
        index += 16
      }
      let rest = range.upperBound - whole
      if rest > 0 {
        let (newP, newM, newV) = update.apply(
          load(p + whole, first: rest), load(g + whole, first: rest),
          load(m + whole, first: rest), load(v + whole, first: rest))
        store(newP, p + whole, first: rest)
        store(newM, m + whole, first: rest)
        store(newV, v + whole, first: rest)
      }
    }
  }
}

/// The scalars of one step, and what they do to sixteen parameters.
private struct AdamWUpdate {
  let gradientScale: Float
  let beta1: Float
  let oneMinusBeta1: Float
  let beta2: Float
  let oneMinusBeta2: Float
  let shrink: Float
  let stepSize: Float
  let rootScale: Float
  let epsilon: Float

  @inline(__always)
  func apply(_ p: WideLanes, _ gradient: WideLanes, _ m: WideLanes, _ v: WideLanes) -> (
    WideLanes, WideLanes, WideLanes
  ) {
    let g = gradient * gradientScale
    let newM = (m * beta1).addingProduct(g, WideLanes(repeating: oneMinusBeta1))
    let newV = (v * beta2).addingProduct(g * g, WideLanes(repeating: oneMinusBeta2))
    let denominator = WideLanes(repeating: epsilon)
      .addingProduct(cp_square_root(newV), WideLanes(repeating: rootScale))
    let newP = (p * shrink).addingProduct(newM / denominator, WideLanes(repeating: stepSize))
    return (newP, newM, newV)
  }
}
