package import Tensor

extension GPUKernels {
  package func rotary(
    x: View, positions: Indices, headWidth: Int, theta: Double, inverse: Bool
  ) {
    precondition(
      positions.count == x.rows && headWidth > 0 && headWidth % 2 == 0
        && x.columns % headWidth == 0,
      "x [\(x.rows), \(x.columns)], \(positions.count) positions, head width \(headWidth)")
    guard let table = table(.rotary(headWidth: headWidth, theta: theta), positions) else { return }
    let eights = (headWidth / 2 + 7) / 8
    driver.launch(
      GPUKernel("position", "rotate_heads"),
      grid: .threads(x.rows * (x.columns / headWidth) * eights), x.matrix, positions.address,
      table.matrix, Float(inverse ? -1 : 1))
  }

  /// The table that holds all of the positions; nil if there are none.
  func table(_ kind: PositionTables.Kind, _ positions: Indices) -> View? {
    guard let last = positions.numbers.max() else { return nil }
    precondition(positions.numbers.allSatisfy { $0 >= 0 }, "negative position")
    return positionTables.table(kind, positions: Int(last) + 1, on: self)
  }
}
