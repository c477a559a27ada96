import Deterministic

/// A matrix of floats inside a `Buffer`.
///
/// The legend used in every file, shapes in brackets:
///
///     N  positions of a batch, sequences laid end to end     S  sequences of a batch
///     L  length of one sequence                              H  attention heads
///     D  width of one head                                   C  model width, H·D
///     F  width of the feed-forward layer                     V  vocabulary
///
/// A view holds its buffer, so it cannot outlive the memory. Kernels take `base` once, before
/// their loops.
///
/// Columns may be cut into bands of equal width, each with all its rows behind the band before:
/// then every head of an attention lies in one piece.
package struct View: Sendable {
  package let buffer: Buffer
  package let offset: Int
  package let rows: Int
  package let columns: Int
  /// Floats from one row to the next, at least the width of a band.
  package let stride: Int
  /// Columns of a band; all of them without bands.
  package let bandWidth: Int
  /// Floats from one band to the next.
  @usableFromInline let bandStride: Int

  package init(_ buffer: Buffer, offset: Int, rows: Int, columns: Int, stride: Int? = nil) {
    self.init(
      buffer, offset: offset, rows: rows, columns: columns, stride: stride ?? columns,
      bandWidth: columns, bandStride: 0)
  }

  /// A matrix of `columns / bandWidth` bands, one behind the other, in
  /// ``floats(rows:columns:bandWidth:)``.
  package init(_ buffer: Buffer, offset: Int, rows: Int, columns: Int, bandWidth: Int) {
    precondition(
      bandWidth > 0 && columns % bandWidth == 0, "\(columns) columns in bands of \(bandWidth)")
    self.init(
      buffer, offset: offset, rows: rows, columns: columns, stride: bandWidth,
      bandWidth: bandWidth, bandStride: Self.bandStride(rows: rows, width: bandWidth))
  }

  /// Floats that a matrix in bands takes up.
  package static func floats(rows: Int, columns: Int, bandWidth: Int) -> Int {
    columns / bandWidth * bandStride(rows: rows, width: bandWidth)
  }

  /// Five lines are left between bands: of a power of two rows, the same row of all would otherwise
  /// fall to one place of every cache.
  private static func bandStride(rows: Int, width: Int) -> Int {
    (rows * width + 15) / 16 * 16 + 80
  }

  private init(
    _ buffer: Buffer, offset: Int, rows: Int, columns: Int, stride: Int, bandWidth: Int,
    bandStride: Int
  ) {
    let bands = columns == 0 ? 0 : columns / bandWidth
    precondition(
      offset >= 0 && rows >= 0 && columns >= 0 && stride >= bandWidth
        && (rows == 0 || columns == 0
          || offset + (bands - 1) * bandStride + (rows - 1) * stride + bandWidth <= buffer.count),
      "view [\(rows), \(columns)] with stride \(stride) at \(offset) does not fit in \(buffer.count)"
    )
    self.buffer = buffer
    self.offset = offset
    self.rows = rows
    self.columns = columns
    self.stride = stride
    self.bandWidth = bandWidth
    self.bandStride = bandStride
  }

  /// Allocates a zeroed matrix of its own.
  package init(rows: Int, columns: Int) {
    self.init(Buffer(count: rows * columns), offset: 0, rows: rows, columns: columns)
  }

  /// Allocates a zeroed matrix of its own, in bands.
  package init(rows: Int, columns: Int, bandWidth: Int) {
    let floats = Self.floats(rows: rows, columns: columns, bandWidth: bandWidth)
    self.init(
      Buffer(count: floats), offset: 0, rows: rows, columns: columns, bandWidth: bandWidth)
  }

  /// First element; taken inside kernels and at C calls, nowhere else, and not of several bands.
  @inlinable package var base: UnsafeMutablePointer<Float> {
    precondition(hasOneBand, "[\(rows), \(columns)] in bands of \(bandWidth) has no one base")
    return buffer.base + offset
  }

  /// Where the first row has a column; the next rows follow in strides, the next columns as far as
  /// its band goes.
  @inlinable package func start(ofColumn column: Int) -> UnsafeMutablePointer<Float> {
    let band = column / bandWidth
    return buffer.base + offset + band * bandStride + column - band * bandWidth
  }

  /// Number of elements, `rows * columns`.
  @inlinable package var count: Int { rows * columns }

  /// Whether a row lies in one piece.
  @inlinable package var hasOneBand: Bool { columns <= bandWidth }

  /// Whether columns `range` of a row lie in one piece.
  @inlinable package func isInOneBand(_ range: Range<Int>) -> Bool {
    hasOneBand || range.isEmpty
      || range.lowerBound / bandWidth == (range.upperBound - 1) / bandWidth
  }

  /// Whether rows follow one another without a gap.
  @inlinable package var isContiguous: Bool { hasOneBand && (stride == columns || rows <= 1) }

  /// Rows `range` of this matrix.
  package func rows(_ range: Range<Int>) -> View {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of a view with \(rows)")
    return View(
      buffer, offset: offset + range.lowerBound * stride, rows: range.count, columns: columns,
      stride: stride, bandWidth: bandWidth, bandStride: bandStride)
  }

  /// Columns `range` of this matrix, of one band or of whole bands; the stride stays.
  package func columns(_ range: Range<Int>) -> View {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= columns,
      "columns \(range) of a view with \(columns)")
    let isOne = isInOneBand(range)
    precondition(
      isOne || range.lowerBound % bandWidth == 0 && range.count % bandWidth == 0,
      "columns \(range) cut bands of \(bandWidth)")
    let first = range.isEmpty ? offset : start(ofColumn: range.lowerBound) - buffer.base
    return View(
      buffer, offset: first, rows: rows, columns: range.count, stride: stride,
      bandWidth: isOne ? range.count : bandWidth, bandStride: isOne ? 0 : bandStride)
  }

  /// The same memory without bands, row behind row: other numbers lie at other places.
  package var withoutBands: View {
    hasOneBand ? self : View(buffer, offset: offset, rows: rows, columns: columns)
  }

  /// First columns of the bands.
  private var bandStarts: StrideTo<Int> {
    Swift.stride(from: 0, to: columns, by: max(1, bandWidth))
  }

  /// Sets every element to `value`; long contiguous memory by all threads.
  package func fill(_ value: Float) {
    let grain = 1 << 18
    if isContiguous && count > grain {
      parallelFor(count, grain: grain) { range in
        (base + range.lowerBound).update(repeating: value, count: range.count)
      }
      return
    }
    for first in bandStarts {
      let band = start(ofColumn: first)
      for row in 0..<rows { (band + row * stride).update(repeating: value, count: bandWidth) }
    }
  }

  /// Copies the elements of a view of the same shape.
  package func copy(from other: View) {
    precondition(
      rows == other.rows && columns == other.columns,
      "[\(rows), \(columns)] cannot take [\(other.rows), \(other.columns)]")
    let width = max(1, min(bandWidth, other.bandWidth))
    precondition(
      bandWidth % width == 0 && other.bandWidth % width == 0,
      "bands of \(bandWidth) and of \(other.bandWidth)")
    for first in Swift.stride(from: 0, to: columns, by: width) {
      let (to, from) = (start(ofColumn: first), other.start(ofColumn: first))
      for row in 0..<rows {
        (to + row * stride).update(from: from + row * other.stride, count: width)
      }
    }
  }

  /// Element at a row and a column, checked; for tests and reports, not for kernels.
  package subscript(row: Int, column: Int) -> Float {
    get {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      return start(ofColumn: column)[row * stride]
    }
    nonmutating set {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      start(ofColumn: column)[row * stride] = newValue
    }
  }

  /// Calls `body` with the elements of a row where they lie.
  package func withRow<Result, Failure: Error>(
    _ row: Int, _ body: (UnsafeBufferPointer<Float>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    precondition(row >= 0 && row < rows, "row \(row) of \(rows)")
    return try body(UnsafeBufferPointer(start: base + row * stride, count: columns))
  }

  /// A copy of all elements, row after row.
  package var elements: [Float] {
    var result = [Float]()
    result.reserveCapacity(count)
    for row in 0..<rows {
      for first in bandStarts {
        result.append(
          contentsOf: UnsafeBufferPointer(
            start: start(ofColumn: first) + row * stride, count: bandWidth))
      }
    }
    return result
  }

  /// A matrix of its own with the given elements, row after row.
  package init(rows: Int, columns: Int, elements: [Float]) {
    precondition(elements.count == rows * columns)
    self.init(rows: rows, columns: columns)
    for (index, value) in elements.enumerated() { base[index] = value }
  }
}
