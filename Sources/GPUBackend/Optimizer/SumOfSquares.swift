package import Tensor

extension GPUKernels {
  package func sumOfSquares(_ x: View) throws(DeviceError) -> Double {
    var total = 0.0
    for part in Self.rows(of: x.count) {
      total += try sumOfSquares(row: x.flat(part))
    }
    return total
  }

  private func sumOfSquares(row: View) throws(DeviceError) -> Double {
    var sum = Double.nan
    var fault: DeviceError?
    withSumsOfSquares(of: row) { total in
      // Where only memory is counted, there may be none to copy from.
      guard GPUScratch.recorder == nil else { return }
      withUnsafeMutableBytes(of: &sum) { target in
        do throws(DeviceError) {
          try driver.copyOut(total, into: target)
        } catch {
          fault = error
        }
      }
    }
    if let fault { throw fault }
    try driver.check()
    return sum
  }

  /// Calls `body` with the address of the sums of the rows, a Double on the card for each.
  func withSumsOfSquares(of rows: View, _ body: (UnsafeMutableRawPointer) -> Void) {
    scratch.lend([8 * rows.rows, 8 * 512 * rows.rows]) { parts in
      driver.launch(
        GPUKernel("sum_of_squares", "square_shares"), grid: GPUGrid(512, rows.rows), parts[1],
        rows.matrix)
      driver.launch(
        GPUKernel("sum_of_squares", "square_total"), grid: GPUGrid(rows.rows), block: 512,
        parts[0], parts[1])
      body(parts[0])
    }
  }
}
