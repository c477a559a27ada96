package import Tensor

extension YosoOperator {
  package func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) -> any AttentionState {
    YosoState(
      YosoStream(
        shape, widths, planes: planes(width: widths.keys, layer: layer, draw: draw)))
  }

  package func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    forEachStep(tensors, states) { row, state in
      guard let state = state as? YosoState else { preconditionFailure("state of another kind") }
      state.stream.step(o: row.o, q: row.q, k: row.k, v: row.v)
    }
  }
}

/// What one stream remembers of one layer of YOSO attention.
final class YosoState: AttentionState {
  var stream: YosoStream

  init(_ stream: YosoStream) { self.stream = stream }

  func copy() -> any AttentionState { YosoState(stream.copy()) }

  /// Hyperplanes are shared by copies and not counted.
  var bytes: Int { stream.bytes }
}

/// The past of one stream.
///
/// Sampled weights need one table of sums for every hash, constant in length. The hybrid also keeps
/// the current chunk, the expectation all keys and values. A step repeats the operations of one
/// row of the forward pass in the same order, so that it has the same bits.
struct YosoStream: Sendable {
  private let shape: YosoShape
  /// Positions seen so far.
  private var length = 0
  private let widths: HeadShape
  private let normals: YosoNormals?
  /// Sums of values by bucket, `[H · hashes · 2^bits, padded E]`.
  private let tables: View?
  /// Recent positions: all of them, or a chunk.
  private var recent: YosoRecent?

  /// - Parameters:
  ///   - shape: As in the forward pass.
  ///   - widths: Of a head.
  ///   - planes: As in the forward pass; the same for the life of the stream.
  init(_ shape: YosoShape, _ widths: HeadWidths, planes: View?) {
    precondition(
      !shape.isRandom || planes?.rows == shape.planeRows && planes?.columns == widths.keys,
      "planes must be [\(shape.planeRows), \(widths.keys)]")
    self.shape = shape
    self.widths = HeadShape(keyWidth: widths.keys, valueWidth: widths.values)
    normals = shape.isRandom ? planes.map { YosoNormals($0, shape) } : nil
    tables =
      shape.isRandom
      ? View(
        rows: shape.heads * shape.hashes << shape.bits, columns: self.widths.valueStride) : nil
    if shape.estimate != .sampled {
      recent = YosoRecent(
        shape, self.widths, capacity: shape.estimate == .hybrid ? shape.chunk : 64)
    }
  }

  private init(_ other: YosoStream) {
    shape = other.shape
    length = other.length
    widths = other.widths
    normals = other.normals
    tables = other.tables.map { table in
      let copy = View(rows: table.rows, columns: table.columns)
      copy.copy(from: table)
      return copy
    }
    recent = other.recent?.copy()
  }

  /// An independent stream with the same past.
  func copy() -> YosoStream { YosoStream(self) }

  /// Memory held, in bytes, without the hyperplanes.
  var bytes: Int {
    ((tables?.count ?? 0) + (recent?.floats ?? 0)) * MemoryLayout<Float>.stride
  }

  /// Appends one position and attends from it.
  ///
  /// - Parameters:
  ///   - o: Output, `[1, H·E]`.
  ///   - q: Query, `[1, H·D]`.
  ///   - k: Key, `[1, H·D]`.
  ///   - v: Value, `[1, H·E]`.
  mutating func step(o: View, q: View, k: View, v: View) {
    precondition(
      q.columns == shape.heads * widths.keyWidth && k.columns == q.columns
        && v.columns == shape.heads * widths.valueWidth && o.columns == v.columns,
      "widths of q, k, v or o do not fit \(shape.heads) heads")
    let isHybrid = shape.estimate == .hybrid
    let slot = isHybrid ? length % shape.chunk : length
    recent?.reserve(slot + 1)
    length += 1
    let state = self
    Scratch.lend(carving: { YosoDecodeRow(state.shape, state.widths, count: slot + 1, &$0) }) {
      row in
      for head in 0..<shape.heads {
        row.pack(
          q: q.base + head * widths.keyWidth, k: k.base + head * widths.keyWidth,
          v: v.base + head * widths.valueWidth)
        if let normals = state.normals, let tables = state.tables {
          normals.codes(row, head: head)
          let table = tables.base + (head * shape.hashes << shape.bits) * widths.valueStride
          if !isHybrid { row.insert(table) }
          row.gather(table)
        }
        if let recent = state.recent {
          recent.append(row, head: head, slot: slot)
          recent.attend(row, head: head, count: slot + 1)
        }
        _ = writeUnitRow(
          o.base + head * widths.valueWidth, row.sums, stride: widths.valueStride,
          width: widths.valueWidth, leastNorm: shape.leastNorm)
        if isHybrid, slot + 1 == shape.chunk, let recent = state.recent, let tables = state.tables {
          let table = tables.base + (head * shape.hashes << shape.bits) * widths.valueStride
          recent.flush(into: table, row, head: head)
        }
      }
    }
  }
}

/// One position of one head.
struct YosoDecodeRow {
  let shape: YosoShape
  let widths: HeadShape
  let rows: UnsafeMutablePointer<Float>  // [2, padded D], query and key
  let value: UnsafeMutablePointer<Float>  // [padded E]
  let sums: UnsafeMutablePointer<Float>  // [padded E]
  let products: UnsafeMutablePointer<Float>  // [2, padded hashes · bits]
  let queryCodes: UnsafeMutablePointer<Int32>  // [hashes]
  let keyCodes: UnsafeMutablePointer<Int32>  // [hashes]
  let weights: UnsafeMutablePointer<Float>  // [padded count]

  init(_ shape: YosoShape, _ widths: HeadShape, count: Int, _ scratch: inout Scratch) {
    self.shape = shape
    self.widths = widths
    rows = scratch.take(2 * widths.keyStride)
    value = scratch.take(widths.valueStride)
    sums = scratch.take(widths.valueStride)
    products = scratch.take(2 * AttentionTile.padded(shape.hashes * shape.bits))
    queryCodes = scratch.take(2 * shape.hashes, of: Int32.self)
    keyCodes = queryCodes + shape.hashes
    weights = scratch.take(AttentionTile.padded(count))
  }

  func pack(
    q: UnsafePointer<Float>, k: UnsafePointer<Float>, v: UnsafePointer<Float>
  ) {
    for (source, to) in [(q, rows), (k, rows + widths.keyStride)] {
      packRows(
        to, stride: widths.keyStride, source, sourceStride: 0, rows: 1, width: widths.keyWidth)
    }
    packRows(
      value, stride: widths.valueStride, v, sourceStride: 0, rows: 1, width: widths.valueWidth)
    sums.update(repeating: 0, count: widths.valueStride)
  }

  /// Scales query and key to unit length, once their codes are known.
  func normalise() {
    for row in [rows, rows + widths.keyStride] {
      let norm = rowNorm(row, stride: widths.keyStride)
      scaleRow(row, by: 1 / max(norm, yosoLeastNorm), stride: widths.keyStride)
    }
  }

  /// Adds the value to the buckets of the key.
  func insert(_ table: UnsafeMutablePointer<Float>) {
    for hash in 0..<shape.hashes {
      addPacked(
        table + ((hash << shape.bits) + Int(keyCodes[hash])) * widths.valueStride, value,
        count: widths.valueStride)
    }
  }

  /// Adds the buckets of the query to the sums.
  func gather(_ table: UnsafePointer<Float>) {
    for hash in 0..<shape.hashes {
      addPacked(
        sums, table + ((hash << shape.bits) + Int(queryCodes[hash])) * widths.valueStride,
        count: widths.valueStride)
    }
  }
}

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
  func codes(_ row: YosoDecodeRow, head: Int) {
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
  func append(_ row: YosoDecodeRow, head: Int, slot: Int) {
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
  func attend(_ row: YosoDecodeRow, head: Int, count: Int) {
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
  func flush(into table: UnsafeMutablePointer<Float>, _ row: YosoDecodeRow, head: Int) {
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
