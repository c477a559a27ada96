import Deterministic
import Tensor

/// The ruler of a device with memory of its own.
extension MatrixPeak {
  /// Floating-point operations per second of `y = x wᵀ` in the type that products of the device have.
  ///
  /// A card needs far more work than a processor before waiting for it costs nothing beside it, and that
  /// much would keep an emulated card busy for minutes: a small product shows first which of both it is.
  static func measure(
    ofDevice kernels: any Kernels, seconds: Double, now: () -> Double
  ) throws(DeviceError) -> Double {
    let small = try rate(kernels, rows: 256, width: 256, times: 2, seconds: 0, now: now)
    guard small > leastOfACard else { return small }
    return try rate(kernels, rows: 8_192, width: 4_096, times: 4, seconds: seconds, now: now)
  }

  /// What every card has even in a product of some microseconds.
  private static let leastOfACard = 1e12

  /// The best of several runs of so many products each.
  private static func rate(
    _ kernels: any Kernels, rows: Int, width: Int, times: Int, seconds: Double, now: () -> Double
  ) throws(DeviceError) -> Double {
    func matrix(_ rows: Int, _ seed: UInt64, deviation: Double) throws(DeviceError) -> View {
      let view = try kernels.makeView(rows: rows, columns: width, for: .compute)
      // Numbers without a pattern: a card computes faster with equal ones, which no model has. A block
      // of rows is drawn, the others are copies of it.
      let block = min(rows, 64)
      let random = CounterRandom(seed: seed)
      try kernels.write(
        random.gaussians(0..<block * width, deviation: deviation), to: view.rows(0..<block))
      var filled = block
      while filled < rows {
        let count = min(filled, rows - filled)
        kernels.copy(view.rows(0..<count), to: view.rows(filled..<filled + count))
        filled += count
      }
      return view
    }
    let x = try matrix(rows, 1, deviation: 1)
    let w = try matrix(width, 2, deviation: 0.02)
    let y = try kernels.makeView(rows: rows, columns: width, for: .compute)
    var failure: DeviceError?
    let run = {
      for _ in 0..<times { kernels.linearForward(y: y, x: x, w: w, accumulate: false) }
      do throws(DeviceError) { try kernels.synchronize() } catch { failure = failure ?? error }
    }
    // Before the first product a card looks for its algorithm.
    run()
    let best = shortest(of: [run], seconds: seconds, now: now)
    if let failure { throw failure }
    return 2 * Double(times) * Double(rows) * Double(width * width) / best
  }
}
