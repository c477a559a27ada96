import Host
package import Tensor

/// The state of Muon on one matrix, one plain step at a time.
package struct ReferenceMuon {
  package var parameters: Matrix
  package var momentum: Matrix

  /// - Parameters:
  ///   - parameters: The matrix to be moved.
  ///   - momentum: Zeros before the first step, which is what nil stands for.
  package init(parameters: Matrix, momentum: Matrix? = nil) {
    self.parameters = parameters
    self.momentum = momentum ?? Matrix(rows: parameters.rows, columns: parameters.columns)
  }

  package mutating func update(
    gradients: Matrix, rate: Double, beta: Double, decay: Double, form: MuonForm = .standard
  ) {
    var direction = momentum
    for index in momentum.values.indices {
      let g = gradients.values[index]
      momentum.values[index] = beta * momentum.values[index] + (1 - beta) * g
      direction.values[index] = beta * momentum.values[index] + (1 - beta) * g
    }
    direction = form == .gram ? Self.orthogonalByGram(direction) : Self.orthogonal(direction)
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

  /// The same five steps on G = x xᵀ: P = a I + b G + c G², Q = P Q, G = P G P, and Q x at the end.
  package static func orthogonalByGram(_ matrix: Matrix) -> Matrix {
    guard matrix.rows <= matrix.columns else {
      return orthogonalByGram(matrix.transposed).transposed
    }
    var x = matrix
    let norm = max(x.dot(x).squareRoot(), 1e-30)
    for index in x.values.indices { x.values[index] /= norm }
    var gram = x.times(x.transposed)
    var total = Matrix(rows: x.rows, columns: x.rows)
    for row in 0..<x.rows { total[row, row] = 1 }
    for _ in 0..<5 {
      var polynomial = gram.times(gram)
      for index in polynomial.values.indices {
        polynomial.values[index] = 2.0315 * polynomial.values[index] - 4.7750 * gram.values[index]
      }
      for row in 0..<x.rows { polynomial[row, row] += 3.4445 }
      total = polynomial.times(total)
      gram = polynomial.times(gram).times(polynomial)
    }
    return total.times(x)
  }
}

extension OracleKernels {
  package func muon(_ matrices: [MuonMatrix], _ step: MuonStep) {
    for matrix in matrices {
      var state = ReferenceMuon(
        parameters: Matrix(of: matrix.parameters), momentum: Matrix(of: matrix.momentum))
      var scaled = Matrix(of: matrix.gradients)
      for index in scaled.values.indices { scaled.values[index] *= Double(step.gradientScale) }
      state.update(
        gradients: scaled, rate: Double(step.rate), beta: Double(step.beta),
        decay: Double(step.decay), form: step.form)
      state.parameters.write(to: matrix.parameters)
      state.momentum.write(to: matrix.momentum)
    }
  }
}
