import CBLAS
import Deterministic
import Host
import Machine
package import Tensor

/// What matrix products reach on this machine: the ruler of every figure "of the peak".
package enum MatrixPeak {
  /// Floating-point operations per second of `y = x wᵀ`, the best of several runs by our own product
  /// and by OpenBLAS.
  ///
  /// OpenBLAS holds no regression of ours for the limit of the machine. But on a processor that is
  /// newer than it, it may fall back to kernels that are ten times slower, and then ours is the ruler.
  /// The size fits the cache well, and all threads have as much to do.
  ///
  /// Every figure is a ratio to this one, measured on the same machine in the same run with the same
  /// number of threads.
  ///
  /// - Parameters:
  ///   - kernels: Whose product is measured; the library only where they work on this processor.
  ///   - memory: Written over; where it is too small or nil, or a device's, the matrices have their own.
  ///   - seconds: Time to spend.
  ///   - now: A clock, in seconds.
  package static func measure(
    _ kernels: any Kernels, in memory: Buffer? = nil, seconds: Double = 0.4,
    now: () -> Double = WallClock.seconds
  ) throws(DeviceError) -> Double {
    try rates(kernels, in: memory, seconds: seconds, now: now).map(\.flopsPerSecond).max() ?? 0
  }

  /// The same, product by product.
  ///
  /// - Returns: Ours and, where it is measured, that of OpenBLAS by the processor that its kernels are
  ///   for.
  package static func rates(
    _ kernels: any Kernels, in memory: Buffer? = nil, seconds: Double = 0.4,
    now: () -> Double = WallClock.seconds
  ) throws(DeviceError) -> [(name: String, flopsPerSecond: Double)] {
    let names = ["ours", "OpenBLAS \(OpenBLAS.kernels)"]
    guard kernels.freeBytes == nil else {
      return [(names[0], try measure(ofDevice: kernels, seconds: seconds, now: now))]
    }
    let width = 1_024
    let blocks = blocks(threads: Parallel.threads)
    let rows = blocks * blockRows
    let count = (2 * rows + width) * width
    let memory =
      if let memory, memory.count >= count { memory } else { try kernels.makeBuffer(count: count) }
    let x = View(memory, offset: 0, rows: rows, columns: width)
    let y = View(memory, offset: rows * width, rows: rows, columns: width)
    let w = View(memory, offset: 2 * rows * width, rows: width, columns: width)
    kernels.fill(x, with: 0.5)
    kernels.fill(w, with: 0.25)
    let ours = {
      kernels.linearForward(y: y, x: x, w: w, accumulate: false)
      // A product that failed is found when its memory is read, which nobody does here.
      try? kernels.synchronize()
    }
    let library = {
      _ = singleThreadedBLAS
      parallelFor(blocks) { index in
        let rows = index * blockRows..<(index + 1) * blockRows
        libraryProduct(y.rows(rows), x.rows(rows), w)
      }
    }
    // It has memory for so many callers at once, and ends the program of more.
    let isOfThisProcessor = x.buffer.home == .host && x.buffer.type == .float32
    let products = isOfThisProcessor && Parallel.threads <= 64 ? [ours, library] : [ours]
    let flops = 2 * Double(rows) * Double(width * width)
    return zip(names, times(of: products, seconds: seconds, now: now)).map { name, time in
      (name, flops / time)
    }
  }

  /// Rows of one call of the library.
  private static let blockRows = 192

  /// How many blocks there are: eight or more, as many for each thread.
  package static func blocks(threads: Int) -> Int { (8 + threads - 1) / threads * threads }

  /// The shortest time that any of the products took, in turns.
  ///
  /// One that is far slower than another after two runs gets no more of the time.
  package static func shortest(
    of products: [() -> Void], seconds: Double, now: () -> Double
  ) -> Double {
    times(of: products, seconds: seconds, now: now).min() ?? .infinity
  }

  /// The shortest time that each of the products took, in the same turns.
  private static func times(
    of products: [() -> Void], seconds: Double, now: () -> Double
  ) -> [Double] {
    var best = [Double](repeating: .infinity, count: products.count)
    var runs = 0
    let end = now() + seconds
    repeat {
      let limit = runs < 2 ? .infinity : 2 * (best.min() ?? .infinity)
      for (index, product) in products.enumerated() where best[index] <= limit {
        let start = now()
        product()
        best[index] = min(best[index], now() - start)
      }
      runs += 1
    } while now() < end
    return best
  }

  /// OpenBLAS's own threads would be waited for by ours.
  private static let singleThreadedBLAS: Void = openblas_set_num_threads(1)

  /// `y = x wᵀ` by OpenBLAS, on the calling thread.
  private static func libraryProduct(_ y: View, _ x: View, _ w: View) {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, Int32(y.rows), Int32(y.columns), Int32(x.columns), 1,
      x.base, Int32(x.stride), w.base, Int32(w.stride), 0, y.base, Int32(y.stride))
  }
}
