package import Tensor

/// The rows of n-grams of one model, which are no part of `Parameters.all`: a step moves a few thousand of
/// hundreds of thousands.
package final class NgramTables: Sendable {
  /// One table, and what its optimizer remembers.
  package struct Table: Sendable {
    package let ngram: NgramRows
    package let rows: View  // [R, C]
    /// Sum of the mean squares of a row's gradients, `[1, R]`; nothing where nobody trains.
    package let squares: View
  }

  package let tables: [Table]

  /// Rows of zeros.
  ///
  /// - Parameters:
  ///   - config: The model.
  ///   - isTrained: Whether the optimizer's sums are there as well.
  ///   - device: Where they lie.
  /// - Returns: Nil if the model has none.
  /// - Throws: `DeviceError.outOfMemory` if the device has no memory for them.
  package init?(
    _ config: ModelConfig, isTrained: Bool, on device: any Device
  ) throws(DeviceError) {
    var tables: [Table] = []
    for ngram in config.ngrams {
      tables.append(
        Table(
          ngram: ngram, rows: try device.makeView(rows: ngram.count, columns: config.width),
          squares: try device.makeView(rows: 1, columns: isTrained ? ngram.count : 0)))
    }
    self.tables = tables
    if tables.isEmpty { return nil }
  }

  /// Bytes of rows and sums in training.
  package static func bytes(_ config: ModelConfig, on device: any Device) -> Int {
    config.ngrams.reduce(0) {
      $0 + device.bytes(count: $1.count * config.width) + device.bytes(count: $1.count)
    }
  }

  /// Adds the rows of every position to its embedding.
  ///
  /// - Parameters:
  ///   - x: `[N, C]`.
  ///   - rows: Of every table, the row of every position.
  ///   - scratch: `[N, C]`, written over.
  ///   - kernels: Where it is computed.
  func add(
    to x: View, rows: [Indices], scratch: View, on kernels: any Kernels
  ) {
    for (table, rows) in zip(tables, rows) {
      kernels.embeddingForward(y: scratch, ids: rows, table: table.rows)
      kernels.residualAdd(x: x, y: scratch)
    }
  }
}

/// The rows that a step touches, of every table, and where their gradients stand.
package struct TouchedRows: Sendable {
  /// Of every table, ascending.
  package let rows: [[Int32]]
  private let sets: [RowSet]

  /// - Parameters:
  ///   - config: The model.
  ///   - ids: Inputs of the whole step.
  ///   - starts: First position of every sequence and, last, N.
  package init(_ config: ModelConfig, ids: [Int32], starts: [Int]) {
    sets = config.ngrams.map { RowSet($0.rows(ids: ids, starts: starts), of: $0.count) }
    rows = sets.map(\.rows)
  }

  /// Places of rows of a table among those that are touched.
  func places(of rows: [Int32], table: Int) -> [Int32] { rows.map(sets[table].place) }
}

/// Some rows of a table, a bit for every row there is: a step of a card touches some hundred thousand, for which
/// a dictionary takes longer than the step.
private struct RowSet: Sendable {
  /// Ascending.
  let rows: [Int32]
  private let bits: [UInt64]
  /// Rows before those of a word of bits.
  private let before: [Int32]

  init(_ touched: [Int32], of count: Int) {
    var bits = [UInt64](repeating: 0, count: (count + 63) / 64)
    for row in touched { bits[Int(row) >> 6] |= 1 << UInt64(row & 63) }
    var before: [Int32] = []
    before.reserveCapacity(bits.count)
    var rows: [Int32] = []
    rows.reserveCapacity(touched.count)
    for (index, word) in bits.enumerated() {
      before.append(Int32(rows.count))
      var left = word
      while left != 0 {
        rows.append(Int32(index << 6 + left.trailingZeroBitCount))
        left &= left - 1
      }
    }
    (self.bits, self.before, self.rows) = (bits, before, rows)
  }

  /// Place of a row among those of the set; -1 if it is none of them.
  func place(_ row: Int32) -> Int32 {
    let word = bits[Int(row) >> 6]
    let bit: UInt64 = 1 << UInt64(row & 63)
    guard word & bit != 0 else { return -1 }
    return before[Int(row) >> 6] + Int32((word & (bit - 1)).nonzeroBitCount)
  }
}

/// The gradient of the rows that a step touches: those of every table follow one another in one matrix.
package struct NgramGradients: Sendable {
  package let touched: TouchedRows
  /// `[capacity, C]`.
  private let sums: View

  /// - Parameters:
  ///   - touched: Rows of the whole step.
  ///   - sums: As many rows as ``rows(_:positions:)`` says.
  package init(_ touched: TouchedRows, sums: View) {
    self.touched = touched
    self.sums = sums
  }

  /// Rows of the gradients of steps of so many positions: one each, or all that a table has.
  package static func rows(_ config: ModelConfig, positions: Int) -> Int {
    config.ngrams.reduce(0) { $0 + min($1.count, positions) }
  }

  /// The gradient of one table's touched rows, in their order.
  package func part(_ table: Int) -> View {
    let start = touched.rows[..<table].reduce(0) { $0 + $1.count }
    return sums.rows(start..<start + touched.rows[table].count)
  }

  /// Adds the gradient of positions.
  ///
  /// - Parameters:
  ///   - dy: Gradient of the embeddings, `[N, C]`.
  ///   - rows: Of every table, the row of every position.
  ///   - kernels: Where it is computed.
  func add(_ dy: View, rows: [Indices], on kernels: any Kernels) throws(DeviceError) {
    for (table, rows) in rows.enumerated() {
      kernels.embeddingBackward(
        dTable: part(table), dy: dy,
        ids: try kernels.place(touched.places(of: rows.numbers, table: table)))
    }
  }
}
