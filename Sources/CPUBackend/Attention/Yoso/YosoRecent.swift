import Host
import Tensor

/// Keys, values and codes of recent positions, in room that doubles.
struct YosoRecent: Sendable {
  private let shape: YosoShape
  private let widths: HeadShape
  private var capacity: Int
  /// Unit keys of every head with 16 positions as lanes, `[panels, H · D · 16]`.
  private var keys: View
  private var values: View  // [capacity, H · padded E]
  private var codes: View  // [capacity, H · hashes], whole numbers

  init(_ shape: YosoShape, _ widths: HeadShape, capacity: Int) {
    self.shape = shape
    self.widths = widths
    self.capacity = AttentionTile.padded(capacity)
    keys = View(rows: self.capacity / 16, columns: shape.heads * widths.keyWidth * 16)
    values = View(rows: self.capacity, columns: shape.heads * widths.valueStride)
    codes = View(
      rows: self.capacity, columns: shape.isRandom ? shape.heads * shape.hashes : 0)
  }

  var floats: Int { keys.count + values.count + codes.count }

  func copy() -> YosoRecent {
    var copy = YosoRecent(shape, widths, capacity: capacity)
    copy.copyContents(of: self)
    return copy
  }

  private mutating func copyContents(of other: YosoRecent) {
    keys.rows(0..<other.keys.rows).copy(from: other.keys)
    values.rows(0..<other.capacity).copy(from: other.values)
    codes.rows(0..<other.capacity).copy(from: other.codes)
  }

  mutating func reserve(_ count: Int) {
    if count <= capacity { return }
    var grown = YosoRecent(shape, widths, capacity: max(count, 2 * capacity))
    grown.copyContents(of: self)
    self = grown
  }

  /// Stores a position, whose query and key become unit vectors.
  func append(_ row: YosoStepRow, head: Int, slot: Int) {
    row.normalise()
    let key = row.rows + widths.keyStride
    let lane =
      keys.base + slot / 16 * keys.stride + head * widths.keyWidth * 16 + slot % 16
    for column in 0..<widths.keyWidth { lane[16 * column] = key[column] }
    (values.base + slot * values.stride + head * widths.valueStride).update(
      from: row.value, count: widths.valueStride)
    if !shape.isRandom { return }
    let own = codes.base + slot * codes.stride + head * shape.hashes
    for hash in 0..<shape.hashes { own[hash] = Float(row.keyCodes[hash]) }
  }

  /// Adds the values of the first `count` positions, weighted.
  func attend(_ row: YosoStepRow, head: Int, count: Int) {
    let panels = AttentionTile.padded(count) / 16
    tileProduct(
      TileC(base: row.weights, panelStride: 16, rowStride: 0),
      TileA(base: row.rows, rowStride: 0, kStride: 1),
      TileB(
        base: keys.base + head * widths.keyWidth * 16, panelStride: keys.stride, kStride: 16),
      rows: 1, panels: panels, k: widths.keyWidth, accumulate: false)
    yosoWeights(row.weights, stride: 16, count: panels, bits: shape.bits, unit: shape.unit)
    tileProduct(
      TileC(base: row.sums, panelStride: 16, rowStride: 0),
      TileA(base: row.weights, rowStride: 0, kStride: 1),
      TileB(
        base: values.base + head * widths.valueStride, panelStride: 16,
        kStride: values.stride), rows: 1, panels: widths.valueStride / 16, k: count,
      accumulate: true)
  }

  /// Moves a finished chunk into the tables, hash after hash in the order of the positions.
  func flush(into table: UnsafeMutablePointer<Float>, _ row: YosoStepRow, head: Int) {
    for slot in 0..<shape.chunk {
      let own = codes.base + slot * codes.stride + head * shape.hashes
      let value = values.base + slot * values.stride + head * widths.valueStride
      for hash in 0..<shape.hashes {
        addPacked(
          table + ((hash << shape.bits) + Int(own[hash])) * widths.valueStride, value,
          count: widths.valueStride)
      }
    }
  }
}
