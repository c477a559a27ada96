import Deterministic
import Host
package import Tensor

/// Heads of keys and values that a group of queries shares.
extension CPUKernels {
  /// Head h of `y [N, H·D]` is head `h / G` of `x [N, H/G·D]`.
  package func repeatHeads(y: View, x: View, headWidth: Int) {
    let group = checkedGroup(wide: y, narrow: x, headWidth: headWidth)
    guard y.count > 0 else { return }
    parallelFor(y.rows, grain: rowGrain(columns: y.columns)) { range in
      for head in 0..<y.columns / headWidth {
        let to = y.start(ofColumn: head * headWidth)
        let from = x.start(ofColumn: head / group * headWidth)
        for n in range { (to + n * y.stride).update(from: from + n * x.stride, count: headWidth) }
      }
    }
  }

  /// A head of `dx` is the sum of its group in `dy`, from the first on.
  package func repeatHeadsBackward(dx: View, dy: View, headWidth: Int) {
    let group = checkedGroup(wide: dy, narrow: dx, headWidth: headWidth)
    guard dx.count > 0 else { return }
    parallelFor(dx.rows, grain: rowGrain(columns: dy.columns)) { range in
      for head in 0..<dx.columns / headWidth {
        let to = dx.start(ofColumn: head * headWidth)
        for member in 0..<group {
          let from = dy.start(ofColumn: (head * group + member) * headWidth)
          for n in range {
            let (sum, row) = (to + n * dx.stride, from + n * dy.stride)
            if member == 0 {
              sum.update(from: row, count: headWidth)
            } else {
              addRow(sum, row, count: headWidth)
            }
          }
        }
      }
    }
  }

  private func checkedGroup(wide: View, narrow: View, headWidth: Int) -> Int {
    precondition(
      headWidth > 0 && narrow.columns > 0 && narrow.columns % headWidth == 0
        && wide.columns % narrow.columns == 0 && wide.rows == narrow.rows
        && wide.bandWidth % headWidth == 0 && narrow.bandWidth % headWidth == 0,
      "[\(wide.rows), \(wide.columns)] from [\(narrow.rows), \(narrow.columns)], heads of \(headWidth)"
    )
    return wide.columns / narrow.columns
  }
}
