/// Rows, columns and padding of a matrix.
package struct Shape: Sendable, CustomStringConvertible {
  package let rows: Int
  package let columns: Int
  package var padding = 0

  package var description: String { "[\(rows), \(columns)], padding \(padding)" }

  /// One element, odd, whole vectors, past them, ragged, many.
  package static let all = [
    Shape(rows: 1, columns: 1), Shape(rows: 3, columns: 7), Shape(rows: 5, columns: 8, padding: 5),
    Shape(rows: 4, columns: 33), Shape(rows: 17, columns: 50, padding: 3),
    Shape(rows: 70, columns: 96),
  ]
}
