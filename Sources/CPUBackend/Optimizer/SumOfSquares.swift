import Deterministic
import Host
package import Tensor

/// The square of the gradient's norm, for clipping and reports.
extension CPUKernels {
  /// Sum of squares of contiguous elements.
  ///
  /// Runs of 512 elements are summed in Float by 32 accumulators of 16 terms each, everything above
  /// in Double: the relative error stays near 1e-7 whatever the count.
  package func sumOfSquares(_ x: View) -> Double { sumsOfSquares([x])[0] }

  /// The same of several views, by one loop.
  func sumsOfSquares(_ views: [View]) -> [Double] {
    precondition(views.allSatisfy(\.isContiguous), "sum of squares of a strided view")
    let grain = Squares.run
    let run = 512
    let partial = views.map { ChunkSums(count: ($0.count + grain - 1) / grain) }
    parallelFor(jobs: partial.map(\.count)) { job, chunk in
      let base = views[job].base
      var sum = 0.0
      var index = chunk * grain
      let end = min(views[job].count, index + grain)
      while index < end {
        let count = min(run, end - index)
        sum += Double(dot(base + index, base + index, count: count))
        index += count
      }
      partial[job].base[chunk] = sum
    }
    return partial.map(\.total)
  }
}

/// One Double for every chunk of a sum, added in chunk order at the end.
///
/// `@unchecked Sendable`: each chunk writes its own element, and the sum is taken after the last.
private final class ChunkSums: @unchecked Sendable {
  let base: UnsafeMutablePointer<Double>
  let count: Int

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
