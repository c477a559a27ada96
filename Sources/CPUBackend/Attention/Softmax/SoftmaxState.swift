import Deterministic
import Host
import Tensor

extension SoftmaxOperator {
  func makeState(_ widths: HeadWidths, layer: Int, draw: AttentionDraw) -> any AttentionState {
    SoftmaxState(
      keys: View(rows: 64, columns: heads / group * widths.keys),
      values: View(rows: 64, columns: heads / group * widths.values))
  }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    forEachStep(tensors, states) { row, state in
      guard let state = state as? SoftmaxState else { preconditionFailure("state of another kind") }
      state.append(key: row.k, value: row.v)
      attend(
        o: row.o, q: row.q, keys: state.keys, values: state.values, bias: row.bias,
        length: state.length)
    }
  }

  /// Causal softmax attention of one position against a cache; the bits of the full forward pass.
  ///
  /// The cache is what the forward pass reads: row t of `keys` and `values` holds all heads of
  /// position t, so a step copies one row of each and moves nothing. A head of the cache serves the
  /// `group` heads of queries that follow one another.
  ///
  /// - Parameters:
  ///   - o: Output of the last position, `[1, H·E]`.
  ///   - q: Its query, `[1, H·D]`.
  ///   - keys: At least `length` rows, `[capacity, H/group·D]`, the position's own key included.
  ///   - values: Likewise `[capacity, H/group·E]`.
  ///   - bias: `[H, B]` by distance, clipped, or nil.
  ///   - length: Positions so far, this one included.
  func attend(o: View, q: View, keys: View, values: View, bias: View?, length: Int) {
    precondition(
      length > 0 && keys.rows >= length && values.rows >= length, "\(length) cached positions")
    precondition(
      q.columns == group * keys.columns && o.columns == group * values.columns
        && q.columns % heads == 0 && o.columns % heads == 0,
      "widths of q, keys or values, o differ")
    let shape = HeadShape(keyWidth: q.columns / heads, valueWidth: o.columns / heads)
    // Below this a thread costs more than it saves. Heads go together, so that a part reads rows
    // of the cache in long stretches.
    let cached = heads / group
    let together = min((cached + 1) / 2, max(1, 256 / shape.keyWidth))
    let grain = length * q.columns < 1 << 16 ? cached : together
    parallelFor(cached, grain: grain) { range in
      let first = range.lowerBound * group
      withUnsafeTemporaryAllocation(of: AttentionRow.self, capacity: range.count * group) { rows in
        Scratch.lend(carving: { scratch in
          for index in rows.indices {
            rows.initializeElement(at: index, to: AttentionRow(shape, &scratch))
          }
        }) {
          for index in rows.indices {
            rows[index].reset(query: q.base + (first + index) * shape.keyWidth, scale: scale)
          }
          attend(
            rows, shape,
            keys: StridedRows(
              base: keys.base + range.lowerBound * shape.keyWidth, stride: keys.stride),
            values: StridedRows(
              base: values.base + range.lowerBound * shape.valueWidth, stride: values.stride),
            bias: bias?.rows(first..<first + rows.count), length: length)
          for index in rows.indices {
            rows[index].finish(o.base + (first + index) * shape.valueWidth)
          }
        }
      }
    }
  }

  /// Attends with neighbouring heads together, a tile of keys at a time.
  private func attend(
    _ heads: UnsafeMutableBufferPointer<AttentionRow>, _ shape: HeadShape, keys: StridedRows,
    values: StridedRows, bias: View?, length: Int
  ) {
    let cached = heads.count / group
    for start in stride(from: 0, to: length, by: AttentionTile.keys) {
      let cut = min(AttentionTile.keys, length - start)
      for key in stride(from: 0, to: cut, by: 16) {
        let position = start + key
        let count = min(16, cut - key)
        // The keys after the next ones, and the values that follow these keys.
        let upcoming = min(length, position + 32)..<min(length, position + 48)
        keys.prefetch(upcoming, width: cached * shape.keyWidth)
        values.prefetch(position..<position + count, width: cached * shape.valueWidth)
        for head in 0..<cached {
          for index in head * group..<(head + 1) * group {
            heads[index].score(
              keys[position] + head * shape.keyWidth, keys.stride, at: key, count: count)
          }
        }
      }
      for index in heads.indices {
        heads[index].weigh(
          cut, bias: bias.map { UnsafePointer($0.base + index * $0.stride) },
          distance: length - 1 - start, last: (bias?.columns ?? 1) - 1, offset: 0)
      }
      for key in stride(from: 0, to: cut, by: 16) {
        for head in 0..<cached {
          for index in head * group..<(head + 1) * group {
            heads[index].add(
              values[start + key] + head * shape.valueWidth, values.stride, isPacked: false,
              at: key, count: min(16, cut - key))
          }
        }
      }
    }
  }
}

/// Keys and values of one stream, doubled in capacity when full.
final class SoftmaxState: AttentionState {
  private(set) var length: Int
  private(set) var keys: View  // [capacity, H/group·D]
  private(set) var values: View  // [capacity, H/group·E]

  init(keys: View, values: View, length: Int = 0) {
    self.keys = keys
    self.values = values
    self.length = length
  }

  var bytes: Int { (keys.count + values.count) * MemoryLayout<Float>.stride }

  func append(key: View, value: View) {
    if length == keys.rows {
      keys = duplicate(keys, capacity: 2 * length)
      values = duplicate(values, capacity: 2 * length)
    }
    keys.rows(length..<length + 1).copy(from: key)
    values.rows(length..<length + 1).copy(from: value)
    length += 1
  }

  func copy() -> any AttentionState {
    SoftmaxState(
      keys: duplicate(keys, capacity: keys.rows), values: duplicate(values, capacity: values.rows),
      length: length)
  }

  private func duplicate(_ rows: View, capacity: Int) -> View {
    let copy = View(rows: capacity, columns: rows.columns)
    copy.rows(0..<length).copy(from: rows.rows(0..<length))
    return copy
  }
}
