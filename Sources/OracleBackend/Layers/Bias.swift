package import Tensor

extension ReferenceKernels {
  /// `y[n] = x[n] + bias`.
  package static func addBias(x: Matrix, bias: Matrix) -> Matrix {
    var y = x
    for n in 0..<x.rows {
      for c in 0..<x.columns { y[n, c] += bias[0, c] }
    }
    return y
  }

  /// `dBias = Σ_n dy[n]`.
  static func addBiasBackward(dy: Matrix) -> Matrix {
    var dBias = Matrix(rows: 1, columns: dy.columns)
    for n in 0..<dy.rows {
      for c in 0..<dy.columns { dBias[0, c] += dy[n, c] }
    }
    return dBias
  }
}

extension OracleKernels {
  package func addBias(x: View, bias: View) {
    ReferenceKernels.addBias(x: Matrix(of: x), bias: Matrix(of: bias)).write(to: x)
  }

  package func addBiasBackward(dBias: View, dy: View) {
    ReferenceKernels.addBiasBackward(dy: Matrix(of: dy)).add(to: dBias)
  }
}
