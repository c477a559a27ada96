import CUDASource
package import Tensor

extension GPUKernels {
  package func moveRows(
    table: View, squares: View, gradients: View, rows: Indices, rate: Float
  ) {
    precondition(
      gradients.rows == rows.count && gradients.columns == table.columns
        && squares.rows == 1 && squares.columns == table.rows,
      "\(rows.count) rows, gradients [\(gradients.rows), \(gradients.columns)], table "
        + "[\(table.rows), \(table.columns)], sums [\(squares.rows), \(squares.columns)]")
    for row in rows.numbers {
      precondition(row >= 0 && row < table.rows, "row \(row) of \(table.rows)")
    }
    guard rows.count > 0 else { return }
    driver.launch(
      GPUKernel("move_rows", "move_rows"), grid: .warps(rows.count), table.matrix, squares.matrix,
      gradients.matrix, rows.address, rate)
  }
}
