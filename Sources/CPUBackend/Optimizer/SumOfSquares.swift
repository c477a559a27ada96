import Deterministic
import Host
package import Tensor

/// The square of the gradient's norm, for clipping and reports.
extension CPUKernels {
  /// Sum of squares of contiguous elements.
  ///
  /// Runs of 512 elements are summed in Float by 32 accumulators of 16 terms each, everything above
  /// in Double: the relative error stays near 1e-7 whatever the count.
  package func sumOfSquares(_ x: View) -> Double {
    precondition(x.isContiguous, "sum of squares of a strided view")
    let grain = Squares.run
    let run = 512
    let chunks = (x.count + grain - 1) / grain
    let partial = ChunkSums(count: chunks)
    parallelFor(x.count, grain: grain) { range in
      let base = x.base
      var sum = 0.0
      var index = range.lowerBound
      while index < range.upperBound {
        let count = min(run, range.upperBound - index)
        sum += Double(dot(base + index, base + index, count: count))
        index += count
      }
      partial.base[range.lowerBound / grain] = sum
    }
    return partial.total
  }
}

/// One Double for every chunk of a sum, added in chunk order at the end.
///
/// `@unchecked Sendable`: each chunk writes its own element, and the sum is taken after the last.
private final class ChunkSums: @unchecked Sendable {
  let base: UnsafeMutablePointer<Double>
  private let count: Int

  init(count: Int) {
    self.count = count
    base = .allocate(capacity: max(count, 1))
    base.initialize(repeating: 0, count: max(count, 1))
  }

  deinit { base.deallocate() }

  var total: Double {
    var sum = 0.0
    for index in 0..<count { sum += base[index] }
    return sum
  }
}
