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
  private let places: [[Int32: Int32]]

  /// - Parameters:
  ///   - config: The model.
  ///   - ids: Inputs of the whole step.
  ///   - starts: First position of every sequence and, last, N.
  package init(_ config: ModelConfig, ids: [Int32], starts: [Int]) {
    rows = config.ngrams.map { Set($0.rows(ids: ids, starts: starts)).sorted() }
    places = rows.map { rows in
      Dictionary(uniqueKeysWithValues: rows.enumerated().map { ($1, Int32($0)) })
    }
  }

  /// Places of rows of a table among those that are touched.
  func places(of rows: [Int32], table: Int) -> [Int32] { rows.map { places[table][$0] ?? -1 } }
}

/// The gradient of the rows that a step touches: for every table a part of one matrix.
package struct NgramGradients: Sendable {
  package let touched: TouchedRows
  /// `[tables · capacity, C]`.
  private let sums: View

  /// - Parameters:
  ///   - touched: Rows of the whole step.
  ///   - sums: As many rows as ``rows(_:positions:)`` says.
  package init(_ touched: TouchedRows, sums: View) {
    self.touched = touched
    self.sums = sums
  }

  /// Rows of the gradients of steps of so many positions.
  package static func rows(_ config: ModelConfig, positions: Int) -> Int {
    config.ngrams.count * positions
  }

  /// The gradient of one table's touched rows, in their order.
  package func part(_ table: Int) -> View {
    let capacity = sums.rows / max(1, touched.rows.count)
    return sums.rows(table * capacity..<table * capacity + touched.rows[table].count)
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
