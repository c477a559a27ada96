import Host
package import Tensor

extension ReferenceKernels {
  /// `y = x · rstd · gain`, `rstd = 1 / sqrt(mean(x²) + epsilon)`.
  package static func rmsNorm(x: Matrix, gain: Matrix, epsilon: Double) -> Matrix {
    rmsNormForward(x: x, gain: gain, epsilon: epsilon).y
  }

  static func rmsNormForward(
    x: Matrix, gain: Matrix, epsilon: Double
  ) -> (y: Matrix, rstd: Matrix) {
    var y = x
    var rstd = Matrix(rows: 1, columns: x.rows)
    for n in 0..<x.rows {
      let squares = x.row(n).reduce(0) { $0 + $1 * $1 }
      rstd[0, n] = 1 / (squares / Double(x.columns) + epsilon).squareRoot()
      for c in 0..<x.columns { y[n, c] = x[n, c] * rstd[0, n] * gain[0, c] }
    }
    return (y, rstd)
  }

  /// `dx = rstd · (gain · dy - x · rstd² · mean(gain · dy · x))`, `dGain = Σ_n dy · x · rstd`.
  static func rmsNormBackward(
    dy: Matrix, x: Matrix, gain: Matrix, rstd: Matrix
  ) -> (dx: Matrix, dGain: Matrix) {
    var dx = x
    var dGain = gain
    for c in 0..<x.columns { dGain[0, c] = 0 }
    for n in 0..<x.rows {
      let scale = rstd[0, n]
      var mean = 0.0
      for c in 0..<x.columns { mean += gain[0, c] * dy[n, c] * x[n, c] / Double(x.columns) }
      for c in 0..<x.columns {
        dx[n, c] = scale * (gain[0, c] * dy[n, c] - x[n, c] * scale * scale * mean)
        dGain[0, c] += dy[n, c] * x[n, c] * scale
      }
    }
    return (dx, dGain)
  }
}

extension OracleKernels {
  package func rmsNormForward(y: View, rstd: View, x: View, gain: View, epsilon: Float) {
    let result = ReferenceKernels.rmsNormForward(
      x: Matrix(of: x), gain: Matrix(of: gain), epsilon: Double(epsilon))
    result.y.write(to: y)
    result.rstd.write(to: rstd)
  }

  package func rmsNormBackward(
    dx: View, dGain: View, dy: View, x: View, gain: View, rstd: View
  ) {
    let result = ReferenceKernels.rmsNormBackward(
      dy: Matrix(of: dy), x: Matrix(of: x), gain: Matrix(of: gain), rstd: Matrix(of: rstd))
    result.dx.add(to: dx)
    result.dGain.add(to: dGain)
  }
}
