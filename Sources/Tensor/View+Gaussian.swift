package import Deterministic

extension View {
  /// Fills a contiguous view with normal numbers of the given standard deviation.
  package func fillGaussian(deviation: Double, from random: CounterRandom) {
    precondition(isContiguous)
    let start = self
    parallelFor(count, grain: 1 << 14) { range in
      let base = start.base
      for index in range {
        base[index] = Float(deviation * random.gaussian(UInt64(index)))
      }
    }
  }
}
