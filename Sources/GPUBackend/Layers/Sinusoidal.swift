package import Tensor

extension GPUKernels {
  package func addSinusoidal(x: View, positions: Indices, amplitude: Double) {
    precondition(positions.count == x.rows, "\(positions.count) positions for \(x.rows) rows")
    guard x.columns > 1,
      let table = table(.sinusoidal(columns: x.columns, amplitude: amplitude), positions)
    else { return }
    driver.launch(
      GPUKernel("position", "add_positions"),
      grid: .threads(x.rows * ((table.columns + 7) / 8)), x.columns(0..<table.columns).matrix,
      positions.address, table.matrix)
  }
}
