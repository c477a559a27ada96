import Tensor

/// Sums over colliding rows by tables, in time linear in the length.
///
///     for every hash: T = 0; for every row p in order: T[writer code of p] += source[p],
///     sums[p] += T[reader code of p]
///
/// Forward the writers are keys, the readers queries and the source the values; backward, from the
/// last row to the first, queries write dX and keys read dV. A row sees itself. With chunks a row
/// sees the finished chunks alone.
///
/// Four hashes share a pass, which halves the traffic, but each sum still takes its hashes in
/// order. Buckets get rows of the table as they first appear, so that a short sequence touches
/// little memory and nothing is cleared: a first write adds to row 0, which stays zero.
struct YosoScan {
  /// Hashes of one pass.
  private static let group = 4
  /// Offsets of one row: for each hash of the pass where to add from, where to, and where to read.
  private static let slots = 3 * group

  private let stride: Int
  private let buckets: Int
  private let rowOf: UnsafeMutablePointer<Int32>  // [buckets], offset into the table or 0
  private let writers: UnsafeMutablePointer<Int32>  // [L]
  private let readers: UnsafeMutablePointer<Int32>  // [L]
  private let offsets: UnsafeMutablePointer<Int32>  // [L, slots]
  private let table: UnsafeMutablePointer<Float>  // [rows, stride]

  init(_ shape: YosoShape, longest: Int, stride: Int, _ scratch: inout Scratch) {
    self.stride = stride
    buckets = 1 << shape.bits
    rowOf = scratch.take(buckets, of: Int32.self)
    writers = scratch.take(longest, of: Int32.self)
    readers = scratch.take(longest, of: Int32.self)
    offsets = scratch.take(longest * Self.slots, of: Int32.self)
    table = scratch.take((2 + Self.group * min(longest, buckets)) * stride)
  }

  /// Which rows are taken in which order.
  struct Order {
    let length: Int
    /// Positions of a chunk; 0: every row sees itself.
    let chunk: Int
    let isReversed: Bool
  }

  /// Adds to `sums` what the rows collide with; both are packed rows `[length, stride]`.
  func run(
    sums: UnsafeMutablePointer<Float>, source: UnsafePointer<Float>, codes: YosoCodes,
    order: Order
  ) {
    table.update(repeating: 0, count: stride)
    rowOf.update(repeating: 0, count: buckets)
    let spans = order.spans
    for hash in Swift.stride(from: 0, to: codes.hashes, by: Self.group) {
      var used = 2
      for slot in 0..<Self.group {
        if hash + slot < codes.hashes {
          place(hash + slot, slot, codes, order, spans, &used)
        } else {
          // No such hash: it writes into row 1, which nobody reads, and reads zeros.
          for row in 0..<order.length {
            let to = offsets + row * Self.slots + 3 * slot
            (to[0], to[1], to[2]) = (0, Int32(stride), 0)
          }
        }
      }
      for span in spans {
        if order.chunk == 0 {
          both(sums, source, span)
        } else {
          read(sums, span)
          write(source, span)
        }
      }
    }
  }

  /// Finds the table rows of one hash in the order of the scan.
  private func place(
    _ hash: Int, _ slot: Int, _ codes: YosoCodes, _ order: Order, _ spans: [Order.Span],
    _ used: inout Int
  ) {
    let (writing, reading) =
      order.isReversed
      ? (codes.queries(hash), codes.keys(hash)) : (codes.keys(hash), codes.queries(hash))
    codes.widen(writing, from: 0, count: order.length, into: writers)
    codes.widen(reading, from: 0, count: order.length, into: readers)
    let rowOf = rowOf
    let writers = writers
    let readers = readers
    let base = offsets + 3 * slot
    var next = Int32(used * stride)
    let step = Int32(stride)
    @inline(__always) func write(_ row: Int) {
      let to = base + row * Self.slots
      let known = rowOf[Int(writers[row])]
      let place = known == 0 ? next : known
      next = known == 0 ? next + step : next
      rowOf[Int(writers[row])] = place
      to[0] = known
      to[1] = place
    }
    @inline(__always) func read(_ row: Int) {
      base[row * Self.slots + 2] = rowOf[Int(readers[row])]
    }
    for span in spans {
      if order.chunk == 0 {
        for index in 0..<span.count {
          let row = span.first + index * span.step
          write(row)
          read(row)
        }
      } else {
        for index in 0..<span.count { read(span.first + index * span.step) }
        for index in 0..<span.count { write(span.first + index * span.step) }
      }
    }
    used = Int(next) / stride
    if buckets <= 2 * order.length {
      rowOf.update(repeating: 0, count: buckets)
    } else {
      for row in 0..<order.length { rowOf[Int(writers[row])] = 0 }
    }
  }

  private func both(
    _ sums: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, _ span: Order.Span
  ) {
    let table = table
    let stride = stride
    for index in 0..<span.count {
      let row = span.first + index * span.step
      let o = offsets + row * Self.slots
      var column = 0
      while column < stride {
        let t = table + column
        scatter(source + row * stride + column, t, o)
        gather(sums + row * stride + column, t, o)
        column += 16
      }
    }
  }

  private func read(_ sums: UnsafeMutablePointer<Float>, _ span: Order.Span) {
    let table = table
    let stride = stride
    for index in 0..<span.count {
      let row = span.first + index * span.step
      var column = 0
      while column < stride {
        gather(sums + row * stride + column, table + column, offsets + row * Self.slots)
        column += 16
      }
    }
  }

  private func write(_ source: UnsafePointer<Float>, _ span: Order.Span) {
    let table = table
    let stride = stride
    for index in 0..<span.count {
      let row = span.first + index * span.step
      let o = offsets + row * Self.slots
      var column = 0
      while column < stride {
        scatter(source + row * stride + column, table + column, o)
        column += 16
      }
    }
  }
}

extension YosoScan.Order {
  /// Rows taken one after the other.
  struct Span {
    let first: Int
    let count: Int
    let step: Int
  }

  /// All rows, chunk by chunk if there are chunks.
  var spans: [Span] {
    let width = chunk == 0 ? max(length, 1) : chunk
    let starts = Array(stride(from: 0, to: length, by: width))
    return (isReversed ? starts.reversed() : starts).map { start in
      let count = min(width, length - start)
      return Span(
        first: isReversed ? start + count - 1 : start, count: count, step: isReversed ? -1 : 1)
    }
  }
}

/// `to = from + source`, one panel of 16 columns.
@inline(__always)
private func add(
  _ row: WideLanes, _ from: UnsafePointer<Float>, _ to: UnsafeMutablePointer<Float>
) {
  store(loadWide(from) + row, to)
}

/// Adds a row to those that the four hashes write, in their order.
@inline(__always)
private func scatter(
  _ source: UnsafePointer<Float>, _ t: UnsafeMutablePointer<Float>, _ o: UnsafePointer<Int32>
) {
  let row = loadWide(source)
  add(row, t + Int(o[0]), t + Int(o[1]))
  add(row, t + Int(o[3]), t + Int(o[4]))
  add(row, t + Int(o[6]), t + Int(o[7]))
  add(row, t + Int(o[9]), t + Int(o[10]))
}

/// Adds the rows that the four hashes read, in their order.
@inline(__always)
private func gather(
  _ sums: UnsafeMutablePointer<Float>, _ t: UnsafePointer<Float>, _ o: UnsafePointer<Int32>
) {
  var row = loadWide(sums)
  row += loadWide(t + Int(o[2]))
  row += loadWide(t + Int(o[5]))
  row += loadWide(t + Int(o[8]))
  row += loadWide(t + Int(o[11]))
  store(row, sums)
}
