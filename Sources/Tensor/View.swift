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
package struct View: Sendable {
  package let buffer: Buffer
  package let offset: Int
  package let rows: Int
  package let columns: Int
  /// Floats from one row to the next, `>= columns`.
  package let stride: Int

  package init(_ buffer: Buffer, offset: Int, rows: Int, columns: Int, stride: Int? = nil) {
    let stride = stride ?? columns
    precondition(
      offset >= 0 && rows >= 0 && columns >= 0 && stride >= columns
        && (rows == 0 || columns == 0
          || offset + (rows - 1) * stride + columns <= buffer.count),
      "view [\(rows), \(columns)] with stride \(stride) at \(offset) does not fit in \(buffer.count)"
    )
    self.buffer = buffer
    self.offset = offset
    self.rows = rows
    self.columns = columns
    self.stride = stride
  }

  /// Allocates a zeroed matrix of its own.
  package init(rows: Int, columns: Int) {
    self.init(Buffer(count: rows * columns), offset: 0, rows: rows, columns: columns)
  }

  /// First element; taken inside kernels and at C calls, nowhere else.
  package var base: UnsafeMutablePointer<Float> { buffer.base + offset }

  /// Number of elements, `rows * columns`.
  package var count: Int { rows * columns }

  /// Whether rows follow one another without a gap.
  package var isContiguous: Bool { stride == columns || rows <= 1 }

  /// Rows `range` of this matrix.
  package func rows(_ range: Range<Int>) -> View {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= rows, "rows \(range) of a view with \(rows)")
    return View(
      buffer, offset: offset + range.lowerBound * stride, rows: range.count, columns: columns,
      stride: stride)
  }

  /// Columns `range` of this matrix; the stride stays.
  package func columns(_ range: Range<Int>) -> View {
    precondition(
      range.lowerBound >= 0 && range.upperBound <= columns,
      "columns \(range) of a view with \(columns)")
    return View(
      buffer, offset: offset + range.lowerBound, rows: rows, columns: range.count, stride: stride)
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
    for row in 0..<rows {
      (base + row * stride).update(repeating: value, count: columns)
    }
  }

  /// Copies the elements of a view of the same shape.
  package func copy(from other: View) {
    precondition(
      rows == other.rows && columns == other.columns,
      "[\(rows), \(columns)] cannot take [\(other.rows), \(other.columns)]")
    for row in 0..<rows {
      (base + row * stride).update(from: other.base + row * other.stride, count: columns)
    }
  }

  /// Element at a row and a column, checked; for tests and reports, not for kernels.
  package subscript(row: Int, column: Int) -> Float {
    get {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      return base[row * stride + column]
    }
    nonmutating set {
      precondition(row >= 0 && row < rows && column >= 0 && column < columns)
      base[row * stride + column] = newValue
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
      result.append(contentsOf: UnsafeBufferPointer(start: base + row * stride, count: columns))
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
