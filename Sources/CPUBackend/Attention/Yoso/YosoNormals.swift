import Host
import Tensor

/// Hyperplanes with 16 of them as lanes, for hashing one vector at a time.
struct YosoNormals: Sendable {
  private let panels: View  // [H · panels, D · 16]
  private let shape: YosoShape
  private let width: Int

  init(_ planes: View, _ shape: YosoShape) {
    self.shape = shape
    width = planes.columns
    let rows = shape.hashes * shape.bits
    let count = AttentionTile.padded(rows) / 16
    panels = View(rows: shape.heads * count, columns: 16 * width)
    for head in 0..<shape.heads {
      for panel in 0..<count {
        packTransposed(
          panels.base + (head * count + panel) * panels.stride,
          planes.base + (head * rows + 16 * panel) * planes.stride, sourceStride: planes.stride,
          rows: min(16, rows - 16 * panel), width: width)
      }
    }
  }

  /// Fills the codes of a row's query and key.
  func codes(_ row: YosoStepRow, head: Int) {
    let bits = shape.bits
    let padded = AttentionTile.padded(shape.hashes * bits)
    tileProduct(
      TileC(base: row.products, panelStride: 16, rowStride: padded),
      TileA(base: row.rows, rowStride: row.widths.keyStride, kStride: 1),
      TileB(
        base: panels.base + head * (padded / 16) * panels.stride, panelStride: panels.stride,
        kStride: 16), rows: 2, panels: padded / 16, k: width, accumulate: false)
    for (products, codes) in [
      (row.products, row.queryCodes), (row.products + padded, row.keyCodes),
    ] {
      for hash in 0..<shape.hashes {
        var code: Int32 = 0
        for bit in 0..<bits where products[hash * bits + bit] > 0 { code |= 1 << Int32(bit) }
        codes[hash] = code
      }
    }
  }
}
