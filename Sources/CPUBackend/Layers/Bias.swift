import Deterministic
import Host
package import Tensor

/// A learned number for every output of a product.
extension CPUKernels {
  /// `x [N, O] += bias [1, O]`, row by row.
  package func addBias(x: View, bias: View) {
    precondition(
      bias.count == x.columns && bias.isContiguous,
      "x [\(x.rows), \(x.columns)], bias \(bias.count)")
    guard x.count > 0 else { return }
    parallelFor(x.rows, grain: rowGrain(columns: x.columns)) { range in
      for first in stride(from: 0, to: x.columns, by: x.bandWidth) {
        let to = x.start(ofColumn: first)
        for n in range { addRow(to + n * x.stride, bias.base + first, count: x.bandWidth) }
      }
    }
  }

  /// `dBias [1, O] += Σ_n dy[n]`.
  ///
  /// Columns are cut into blocks, which know nothing of each other; a block adds up so many rows at a
  /// time, so that a long sum loses no more digits than a short one.
  package func addBiasBackward(dBias: View, dy: View) {
    precondition(
      dBias.count == dy.columns && dBias.isContiguous,
      "dy [\(dy.rows), \(dy.columns)], dBias \(dBias.count)")
    guard dy.count > 0 else { return }
    let (width, rowsTogether) = (min(64, dy.bandWidth), 256)
    let blocks = (dy.bandWidth + width - 1) / width
    parallelFor(dy.columns / dy.bandWidth * blocks) { block in
      let first = block % blocks * width
      let column = block / blocks * dy.bandWidth + first
      let count = min(width, dy.bandWidth - first)
      let from = dy.start(ofColumn: column)
      withUnsafeTemporaryAllocation(of: Float.self, capacity: count) { room in
        guard let sum = room.baseAddress else { return }
        for start in stride(from: 0, to: dy.rows, by: rowsTogether) {
          sum.update(repeating: 0, count: count)
          for n in start..<min(dy.rows, start + rowsTogether) {
            addRow(sum, from + n * dy.stride, count: count)
          }
          addRow(dBias.base + column, sum, count: count)
        }
      }
    }
  }
}
