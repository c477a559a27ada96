import Host
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
    Scratch.lend(carving: { YosoStepRow(state.shape, state.widths, count: slot + 1, &$0) }) {
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
