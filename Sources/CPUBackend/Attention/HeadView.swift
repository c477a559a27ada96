import CProcessor
import Host
import Tensor

/// Widths of one attention head, as given and as packed.
struct HeadShape {
  let keyWidth: Int
  let valueWidth: Int
  let keyStride: Int
  let valueStride: Int

  init(keyWidth: Int, valueWidth: Int) {
    self.keyWidth = keyWidth
    self.valueWidth = valueWidth
    keyStride = AttentionTile.padded(keyWidth)
    valueStride = AttentionTile.padded(valueWidth)
  }
}

/// Where the rows of one sequence and head begin.
struct HeadView {
  let first: Int
  let head: Int

  /// Columns of the head in queries or keys.
  func keys(_ view: View, _ shape: HeadShape) -> StridedRows { rows(view, shape.keyWidth) }

  /// Columns of the head in values or outputs.
  func values(_ view: View, _ shape: HeadShape) -> StridedRows { rows(view, shape.valueWidth) }

  private func rows(_ view: View, _ width: Int) -> StridedRows {
    precondition(view.bandWidth % max(width, 1) == 0, "bands of \(view.bandWidth) cut a head")
    return StridedRows(
      base: view.start(ofColumn: head * width) + first * view.stride, stride: view.stride)
  }
}

/// Rows of one sequence and head in a matrix that holds all heads, whether or not in bands.
struct StridedRows {
  let base: UnsafeMutablePointer<Float>
  let stride: Int

  subscript(row: Int) -> UnsafeMutablePointer<Float> { base + row * stride }

  /// Prefetches rows that are read or written soon.
  func prefetch(_ rows: Range<Int>, width: Int) {
    for row in rows {
      for column in Swift.stride(from: 0, to: width, by: 16) { cp_prefetch(self[row] + column) }
    }
  }
}

extension RowPrefetcher {
  /// Appends a row, unless it lies before the first.
  func enqueue(_ rows: StridedRows, _ row: Int) {
    if row >= 0 { enqueue(rows[row]) }
  }
}
