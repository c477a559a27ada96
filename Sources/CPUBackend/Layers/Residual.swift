import Deterministic
import Host
package import Tensor

/// The residual connection, in place.
extension CPUKernels {
  /// `x += y`, both `[N, C]`; its backward pass is the identity for both.
  package func residualAdd(x: View, y: View) {
    precondition(
      x.rows == y.rows && x.columns == y.columns,
      "[\(x.rows), \(x.columns)] += [\(y.rows), \(y.columns)]")
    parallelFor(x.rows, grain: rowGrain(columns: x.columns)) { range in
      let to = x.base
      let from = y.base
      for n in range {
        addRow(to + n * x.stride, from + n * y.stride, count: x.columns)
      }
    }
  }
}
