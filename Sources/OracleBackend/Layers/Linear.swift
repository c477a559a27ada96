import Host
package import Tensor

extension ReferenceKernels {
  /// `y = x wᵀ`.
  package static func linear(x: Matrix, w: Matrix) -> Matrix { x.times(w.transposed) }

  /// `dx = dy w`.
  static func linearBackwardInput(dy: Matrix, w: Matrix) -> Matrix { dy.times(w) }

  /// `dw = dyᵀ x`.
  static func linearBackwardWeight(dy: Matrix, x: Matrix) -> Matrix { dy.transposed.times(x) }
}

extension OracleKernels {
  package func linearForward(y: View, x: View, w: View, accumulate: Bool) {
    let product = ReferenceKernels.linear(x: Matrix(of: x), w: Matrix(of: w))
    if accumulate { product.add(to: y) } else { product.write(to: y) }
  }

  package func linearBackwardInput(dx: View, dy: View, w: View, accumulate: Bool) {
    let product = ReferenceKernels.linearBackwardInput(dy: Matrix(of: dy), w: Matrix(of: w))
    if accumulate { product.add(to: dx) } else { product.write(to: dx) }
  }

  package func linearBackwardWeight(dw: View, dy: View, x: View) {
    ReferenceKernels.linearBackwardWeight(dy: Matrix(of: dy), x: Matrix(of: x)).add(to: dw)
  }
}
