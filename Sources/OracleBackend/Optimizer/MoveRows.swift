import Host
package import Tensor

extension OracleKernels {
  package func moveRows(
    table: View, squares: View, gradients: View, rows: Indices, rate: Float
  ) {
    var (weights, sums) = (Matrix(of: table), Matrix(of: squares))
    let gradients = Matrix(of: gradients)
    for (index, row) in rows.numbers.enumerated() {
      let gradient = gradients.row(index)
      sums[0, Int(row)] += gradient.reduce(0) { $0 + $1 * $1 } / Double(gradient.count)
      guard sums[0, Int(row)] > 0 else { continue }
      for (column, g) in gradient.enumerated() {
        weights[Int(row), column] -= Double(rate) * g / sums[0, Int(row)].squareRoot()
      }
    }
    weights.write(to: table)
    sums.write(to: squares)
  }
}
