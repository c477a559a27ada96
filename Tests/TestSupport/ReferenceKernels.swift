import Foundation

/// Plain twins of the kernels, in Double, with nothing clever in them.
package enum ReferenceKernels {
  /// `y[n] = table[ids[n]]`.
  package static func embedding(ids: [Int32], table: Matrix) -> Matrix {
    var y = Matrix(rows: ids.count, columns: table.columns)
    for n in 0..<y.rows {
      for c in 0..<y.columns { y[n, c] = table[Int(ids[n]), c] }
    }
    return y
  }

  /// `y = x wᵀ`.
  package static func linear(x: Matrix, w: Matrix) -> Matrix {
    var y = Matrix(rows: x.rows, columns: w.rows)
    for n in 0..<x.rows {
      for o in 0..<w.rows {
        var sum = 0.0
        for i in 0..<x.columns { sum += x.values[n * x.columns + i] * w.values[o * w.columns + i] }
        y[n, o] = sum
      }
    }
    return y
  }

  /// `y = x / sqrt(mean(x²) + epsilon) · gain`.
  package static func rmsNorm(x: Matrix, gain: Matrix, epsilon: Double) -> Matrix {
    var y = x
    for n in 0..<x.rows {
      var squares = 0.0
      for c in 0..<x.columns { squares += x[n, c] * x[n, c] }
      let rstd = 1 / (squares / Double(x.columns) + epsilon).squareRoot()
      for c in 0..<x.columns { y[n, c] = x[n, c] * rstd * gain[0, c] }
    }
    return y
  }

  /// Pairs `(j, j + D/2)` of every head turned by `position · theta^(-2j/D)`.
  package static func rotary(
    x: Matrix, positions: [Int32], headWidth: Int, theta: Double, inverse: Bool
  ) -> Matrix {
    var y = x
    let half = headWidth / 2
    for n in 0..<x.rows {
      for head in Swift.stride(from: 0, to: x.columns, by: headWidth) {
        for j in 0..<half {
          let frequency = pow(theta, -2 * Double(j) / Double(headWidth))
          let angle = Double(positions[n]) * frequency * (inverse ? -1 : 1)
          let (a, b) = (x[n, head + j], x[n, head + half + j])
          y[n, head + j] = a * cos(angle) - b * sin(angle)
          y[n, head + half + j] = b * cos(angle) + a * sin(angle)
        }
      }
    }
    return y
  }

  /// `y = gate / (1 + exp(-gate)) · up`.
  package static func swiGLU(gateUp: Matrix) -> Matrix {
    var y = Matrix(rows: gateUp.rows, columns: gateUp.columns / 2)
    for n in 0..<y.rows {
      for c in 0..<y.columns {
        let gate = gateUp[n, c]
        y[n, c] = gate / (1 + exp(-gate)) * gateUp[n, y.columns + c]
      }
    }
    return y
  }

  /// `nll[n] = ln Σ_v exp(logits[n, v]) - logits[n, targets[n]]`, as one row.
  package static func crossEntropy(hidden: Matrix, w: Matrix, targets: [Int32]) -> Matrix {
    let logits = linear(x: hidden, w: w)
    var nll = Matrix(rows: 1, columns: hidden.rows)
    for n in 0..<hidden.rows {
      var peak = -Double.infinity
      for v in 0..<w.rows { peak = max(peak, logits[n, v]) }
      var sum = 0.0
      for v in 0..<w.rows { sum += exp(logits[n, v] - peak) }
      nll[0, n] = peak - logits[n, Int(targets[n])] + log(sum)
    }
    return nll
  }
}

/// The state of AdamW on a list of numbers, one plain step at a time.
package struct ReferenceAdamW {
  package var parameters: [Double]
  package var firstMoment: [Double]
  package var secondMoment: [Double]
  private var step = 0

  package init(parameters: [Double]) {
    self.parameters = parameters
    firstMoment = parameters.map { _ in 0 }
    secondMoment = firstMoment
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

/// The state of Muon on one matrix, one plain step at a time.
package struct ReferenceMuon {
  package var parameters: Matrix
  package var momentum: Matrix

  package init(parameters: Matrix) {
    self.parameters = parameters
    momentum = Matrix(rows: parameters.rows, columns: parameters.columns)
  }

  package mutating func update(gradients: Matrix, rate: Double, beta: Double, decay: Double) {
    var direction = momentum
    for index in momentum.values.indices {
      let g = gradients.values[index]
      momentum.values[index] = beta * momentum.values[index] + (1 - beta) * g
      direction.values[index] = beta * momentum.values[index] + (1 - beta) * g
    }
    direction = Self.orthogonal(direction)
    let pace = rate * 0.2 * Double(max(parameters.rows, parameters.columns)).squareRoot()
    for index in parameters.values.indices {
      parameters.values[index] *= 1 - rate * decay
      parameters.values[index] -= pace * direction.values[index]
    }
  }

  /// Five steps of `x = a x + b (x xᵀ) x + c (x xᵀ)² x`, whichever side is the longer.
  package static func orthogonal(_ matrix: Matrix) -> Matrix {
    var x = matrix
    let norm = max(x.dot(x).squareRoot(), 1e-30)
    for index in x.values.indices { x.values[index] /= norm }
    for _ in 0..<5 {
      let cubic = x.times(x.transposed).times(x)
      let quintic = x.times(x.transposed).times(cubic)
      for index in x.values.indices {
        x.values[index] =
          3.4445 * x.values[index] - 4.7750 * cubic.values[index] + 2.0315 * quintic.values[index]
      }
    }
    return x
  }
}
