/// A matrix of numbers inside a `Buffer`.
///
/// The legend used in every file, shapes in brackets:
///
///     N  positions of a batch, sequences laid end to end     S  sequences of a batch
///     L  length of one sequence                              H  attention heads
///     D  width of one head                                   C  model width, usually H·D
///     K  heads of keys and values, usually H                 V  vocabulary
///     F  width of the feed-forward layer
///
/// A view holds its buffer, so it cannot outlive the memory. It is a shape: who follows addresses of
/// this process says `import Host`.
///
/// Columns may be cut into bands of equal width, each with all its rows behind the band before:
/// then every head of an attention lies in one piece.
@usableFromInline package struct View: Sendable {
  @usableFromInline package let buffer: Buffer
  @usableFromInline package let offset: Int
  @usableFromInline package let rows: Int
  @usableFromInline package let columns: Int
  /// Numbers from one row to the next, at least the width of a band.
  @usableFromInline package let stride: Int
  /// Columns of a band; all of them without bands.
  @usableFromInline package let bandWidth: Int
  /// Numbers from one band to the next.
  @usableFromInline let bandStride: Int

  package init(_ buffer: Buffer, offset: Int, rows: Int, columns: Int, stride: Int? = nil) {
    self.init(
      buffer, offset: offset, rows: rows, columns: columns, stride: stride ?? columns,
      bandWidth: columns, bandStride: 0)
  }

  /// A matrix of `columns / bandWidth` bands, one behind the other, in
  /// ``numbers(rows:columns:bandWidth:)``.
  package init(_ buffer: Buffer, offset: Int, rows: Int, columns: Int, bandWidth: Int) {
    precondition(
      bandWidth > 0 && columns % bandWidth == 0, "\(columns) columns in bands of \(bandWidth)")
    self.init(
      buffer, offset: offset, rows: rows, columns: columns, stride: bandWidth,
      bandWidth: bandWidth, bandStride: Self.bandStride(rows: rows, width: bandWidth))
  }

  /// Numbers that a matrix in bands takes up.
  package static func numbers(rows: Int, columns: Int, bandWidth: Int) -> Int {
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

  /// Where the first row has a column, as a number inside the buffer.
  @inlinable package func offset(ofColumn column: Int) -> Int {
    let band = column / bandWidth
    return offset + band * bandStride + column - band * bandWidth
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
    let first = range.isEmpty ? offset : offset(ofColumn: range.lowerBound)
    return View(
      buffer, offset: first, rows: rows, columns: range.count, stride: stride,
      bandWidth: isOne ? range.count : bandWidth, bandStride: isOne ? 0 : bandStride)
  }

  /// Columns of one of `heads` heads.
  package func head(_ head: Int, of heads: Int) -> View {
    let width = columns / heads
    return columns(head * width..<(head + 1) * width)
  }

  /// The same memory without bands, row behind row: other numbers lie at other places.
  package var withoutBands: View {
    hasOneBand ? self : View(buffer, offset: offset, rows: rows, columns: columns)
  }
}
