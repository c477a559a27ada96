import Deterministic
import Host
package import Tensor

extension CPUKernels {
  package func moveRows(
    table: View, squares: View, gradients: View, rows: Indices, rate: Float
  ) {
    let ids = rows.numbers
    precondition(
      gradients.rows == ids.count && gradients.columns == table.columns
        && squares.count == table.rows && squares.isContiguous,
      "\(ids.count) rows, gradients [\(gradients.rows), \(gradients.columns)], table "
        + "[\(table.rows), \(table.columns)], \(squares.count) sums")
    parallelFor(ids.count, grain: rowGrain(columns: table.columns)) { range in
      let columns = table.columns
      for index in range {
        let row = Int(ids[index])
        precondition(row >= 0 && row < table.rows, "row \(row) of \(table.rows)")
        let gradient = gradients.base + index * gradients.stride
        let sum =
          squares.base[row] + dot(gradient, gradient, count: columns) / Float(columns)
        squares.base[row] = sum
        guard sum > 0 else { continue }
        let step = -rate / sum.squareRoot()
        let weights = table.base + row * table.stride
        for column in 0..<columns { weights[column] += step * gradient[column] }
      }
    }
  }
}
