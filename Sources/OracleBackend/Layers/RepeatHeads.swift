package import Tensor

extension ReferenceKernels {
  /// The column of a narrow matrix that stands at a column of a wide one, whose heads are groups.
  private static func shared(_ column: Int, group: Int, headWidth: Int) -> Int {
    column / headWidth / group * headWidth + column % headWidth
  }

  /// Head h of the result is head `h / group` of `x`.
  package static func repeatHeads(x: Matrix, group: Int, headWidth: Int) -> Matrix {
    var y = Matrix(rows: x.rows, columns: group * x.columns)
    for n in 0..<y.rows {
      for c in 0..<y.columns { y[n, c] = x[n, shared(c, group: group, headWidth: headWidth)] }
    }
    return y
  }

  /// A head of the result is the sum of a group of heads of `dy`.
  static func repeatHeadsBackward(dy: Matrix, group: Int, headWidth: Int) -> Matrix {
    var dx = Matrix(rows: dy.rows, columns: dy.columns / group)
    for n in 0..<dy.rows {
      for c in 0..<dy.columns { dx[n, shared(c, group: group, headWidth: headWidth)] += dy[n, c] }
    }
    return dx
  }
}

extension OracleKernels {
  package func repeatHeads(y: View, x: View, headWidth: Int) {
    ReferenceKernels.repeatHeads(
      x: Matrix(of: x), group: y.columns / x.columns, headWidth: headWidth
    ).write(to: y)
  }

  package func repeatHeadsBackward(dx: View, dy: View, headWidth: Int) {
    ReferenceKernels.repeatHeadsBackward(
      dy: Matrix(of: dy), group: dy.columns / dx.columns, headWidth: headWidth
    ).write(to: dx)
  }
}
