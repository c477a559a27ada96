import Deterministic
import Host
package import Tensor

/// The running average of weights, one pass.
extension CPUKernels {
  /// `average += share · (x - average)`, with one rounding of the product and the sum.
  ///
  /// - Precondition: Both views are contiguous and of one size.
  package func moveAverage(_ average: View, towards x: View, share: Float) {
    let count = average.count
    precondition(
      x.count == count && average.isContiguous && x.isContiguous,
      "an average of \(count) numbers towards \(x.count)")
    parallelFor(count, grain: 1 << 15) { range in
      let a = average.base
      let b = x.base
      let factor = WideLanes(repeating: share)
      let width = WideLanes.scalarCount
      let whole = range.lowerBound + range.count / width * width
      var index = range.lowerBound
      while index < whole {
        let old = loadWide(a + index)
        store(old.addingProduct(loadWide(b + index) - old, factor), a + index)
        index += width
      }
      let rest = range.upperBound - whole
      if rest > 0 {
        let old = load(a + whole, first: rest)
        store(
          old.addingProduct(load(b + whole, first: rest) - old, factor), a + whole, first: rest)
      }
    }
  }
}
