import CBLAS
import Dispatch

/// The limit of whoever leaves matrix products to a library.
///
/// It is what OpenBLAS reaches on a size that fits the cache well; nothing else here calls it.
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
    _ = singleThreadedBLAS
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
      parallelFor(blocks.count) { index in
        product(y.rows(blocks[index]), x.rows(blocks[index]), w)
      }
      best = min(best, now() - start)
    } while now() < end
    return flops / best
  }

  /// OpenBLAS's own threads would be waited for by ours.
  private static let singleThreadedBLAS: Void = openblas_set_num_threads(1)

  /// `y = x wᵀ` on the calling thread.
  private static func product(_ y: View, _ x: View, _ w: View) {
    cblas_sgemm(
      CblasRowMajor, CblasNoTrans, CblasTrans, Int32(y.rows), Int32(y.columns), Int32(x.columns), 1,
      x.base, Int32(x.stride), w.base, Int32(w.stride), 0, y.base, Int32(y.stride))
  }

  /// Seconds on the wall since some moment.
  package static func wallSeconds() -> Double {
    Double(DispatchTime.now().uptimeNanoseconds) * 1e-9
  }
}
