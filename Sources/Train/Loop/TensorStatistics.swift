package import Model
package import Tensor

/// Gradient and weights of one parameter, looked at because something is wrong.
package struct TensorStatistics: Codable, Sendable, Equatable {
  package let name: String
  /// Elements of the gradient that are infinite or not a number, of `count`.
  package let notFinite: Int
  package let count: Int
  /// Largest finite magnitude in the gradient.
  package let largestGradient: Double
  /// Largest finite magnitude among the weights.
  package let largestWeight: Double

  /// The parameters with anything infinite in their gradient, or else those with the largest.
  package static func suspects(
    _ parameters: Parameters, gradients: Parameters, limit: Int = 5
  ) throws(DeviceError) -> [TensorStatistics] {
    var all: [TensorStatistics] = []
    for slot in parameters.layout.slots {
      let gradient = try gradients.device.numbers(of: gradients.view(slot))
      let weights = try parameters.device.numbers(of: parameters.view(slot))
      let largest = { (values: [Float]) in
        values.reduce(Float(0)) { $1.isFinite ? max($0, abs($1)) : $0 }
      }
      all.append(
        TensorStatistics(
          name: slot.name, notFinite: gradient.count { !$0.isFinite }, count: gradient.count,
          largestGradient: Double(largest(gradient)), largestWeight: Double(largest(weights))))
    }
    let worst = all.sorted {
      ($0.notFinite, $0.largestGradient) > ($1.notFinite, $1.largestGradient)
    }
    return Array(worst.prefix(limit))
  }
}
