import Tensor

/// Rows of floats that one stream remembers, in memory that doubles.
final class GrowingRows {
  private(set) var view: View
  private let kernels: GPUKernels

  /// - Parameters:
  ///   - rows: To begin with; zeros.
  ///   - columns: Floats of a row.
  ///   - kernels: Whose memory it is.
  init(rows: Int, columns: Int, on kernels: GPUKernels) throws(DeviceError) {
    self.kernels = kernels
    view = try kernels.makeView(rows: max(rows, 1), columns: columns)
  }

  private init(copying other: GrowingRows) throws(DeviceError) {
    kernels = other.kernels
    view = try kernels.makeView(rows: other.view.rows, columns: other.view.columns)
    kernels.copy(other.view, to: view)
  }

  func copy() throws(DeviceError) -> GrowingRows { try GrowingRows(copying: self) }

  var bytes: Int { view.buffer.bytes }

  /// Makes room; what is there stays.
  func reserve(_ rows: Int) throws(DeviceError) {
    if rows <= view.rows { return }
    let grown = try kernels.makeView(rows: max(rows, 2 * view.rows), columns: view.columns)
    kernels.copy(view, to: grown.rows(0..<view.rows))
    view = grown
  }

  /// Where a row is, perhaps one before the first.
  func place(_ row: Int) -> UnsafeMutableRawPointer { view.address + 4 * row * view.columns }
}
