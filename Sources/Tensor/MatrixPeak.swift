import Dispatch

/// The machine's own limit: what its matrix products reach on a size that fits the cache well.
package enum MatrixPeak {
  /// Floating-point operations per second of OpenBLAS on `y = x wᵀ`, the best of several runs.
  ///
  /// Every figure "of the peak" is a ratio to this one, measured on the same machine in the same
  /// run with the same number of threads.
  ///
  /// - Parameters:
  ///   - seconds: Time to spend.
  ///   - now: A clock, in seconds.
  package static func measure(seconds: Double = 0.4, now: () -> Double = wallSeconds) -> Double {
    let size = 1_536
    let blocks = Blocks(size, near: size / 8, multipleOf: 24)
    let x = View(rows: size, columns: 1_024)
    let w = View(rows: 1_024, columns: 1_024)
    let y = View(rows: size, columns: 1_024)
    x.fill(0.5)
    w.fill(0.25)
    let flops = 2 * Double(size) * 1_024 * 1_024
    var best = Double.infinity
    let end = now() + seconds
    repeat {
      let start = now()
      matrixProduct(
        y: y, a: x, b: w, transposedB: true, accumulate: false, rowBlocks: blocks,
        columnBlocks: Blocks(1_024, near: 1_024, multipleOf: 64))
      best = min(best, now() - start)
    } while now() < end
    return flops / best
  }

  /// Seconds on the wall since some moment.
  package static func wallSeconds() -> Double {
    Double(DispatchTime.now().uptimeNanoseconds) * 1e-9
  }
}
