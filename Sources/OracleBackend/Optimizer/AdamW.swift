import Foundation
package import Tensor

/// The state of AdamW on a list of numbers, one plain step at a time.
package struct ReferenceAdamW {
  package var parameters: [Double]
  package var firstMoment: [Double]
  package var secondMoment: [Double]
  private var step = 0

  package init(parameters: [Double]) {
    self.init(
      parameters: parameters, firstMoment: parameters.map { _ in 0 },
      secondMoment: parameters.map { _ in 0 }, step: 0)
  }

  /// - Parameter step: Steps that have been taken.
  init(parameters: [Double], firstMoment: [Double], secondMoment: [Double], step: Int) {
    self.parameters = parameters
    self.firstMoment = firstMoment
    self.secondMoment = secondMoment
    self.step = step
  }

  /// One step as `torch.optim.AdamW` takes it.
  package mutating func update(
    gradients: [Double], rate: Double, beta1: Double, beta2: Double, epsilon: Double, decay: Double
  ) {
    step += 1
    let correction1 = 1 - pow(beta1, Double(step))
    let correction2 = 1 - pow(beta2, Double(step))
    for index in parameters.indices {
      let g = gradients[index]
      parameters[index] *= 1 - rate * decay
      firstMoment[index] = beta1 * firstMoment[index] + (1 - beta1) * g
      secondMoment[index] = beta2 * secondMoment[index] + (1 - beta2) * g * g
      let denominator = secondMoment[index].squareRoot() / correction2.squareRoot() + epsilon
      parameters[index] -= rate / correction1 * firstMoment[index] / denominator
    }
  }
}

extension OracleKernels {
  package func adamW(
    parameters: View, gradients: View, firstMoment: View, secondMoment: View, _ step: AdamWStep
  ) {
    var state = ReferenceAdamW(
      parameters: parameters.values, firstMoment: firstMoment.values,
      secondMoment: secondMoment.values, step: step.step - 1)
    state.update(
      gradients: gradients.values.map { $0 * Double(step.gradientScale) },
      rate: Double(step.rate), beta1: Double(step.beta1), beta2: Double(step.beta2),
      epsilon: Double(step.epsilon), decay: Double(step.decay))
    parameters.values = state.parameters
    firstMoment.values = state.firstMoment
    secondMoment.values = state.secondMoment
  }
}
