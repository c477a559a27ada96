import Host
import Tensor

/// A matrix of Doubles with value semantics.
package struct Matrix: Sendable, Equatable {
  package let rows: Int
  package let columns: Int
  package var values: [Double]

  package init(rows: Int, columns: Int, values: [Double]) {
    precondition(values.count == rows * columns, "\(values.count) numbers in [\(rows), \(columns)]")
    self.rows = rows
    self.columns = columns
    self.values = values
  }

  /// A matrix of zeros.
  package init(rows: Int, columns: Int) {
    self.init(
      rows: rows, columns: columns, values: [Double](repeating: 0, count: rows * columns))
  }

  /// The numbers of a view that the oracle made.
  init(of view: View) { self.init(rows: view.rows, columns: view.columns, values: view.values) }

  /// Writes the numbers to a view that the oracle made.
  func write(to view: View) { view.values = values }

  /// Adds the numbers to those of a view that the oracle made.
  func add(to view: View) { view.values = (Matrix(of: view) + self).values }

  @inlinable package subscript(row: Int, column: Int) -> Double {
    get { values[row * columns + column] }
    set { values[row * columns + column] = newValue }
  }

  /// The numbers of one row.
  package func row(_ row: Int) -> ArraySlice<Double> {
    values[row * columns..<(row + 1) * columns]
  }

  /// Largest magnitude, 0 for an empty matrix.
  package var largest: Double { values.reduce(0) { max($0, abs($1)) } }

  /// `Σ a·b` over all elements.
  package func dot(_ other: Matrix) -> Double {
    var sum = 0.0
    for index in values.indices { sum += values[index] * other.values[index] }
    return sum
  }

  package var transposed: Matrix {
    var result = Matrix(rows: columns, columns: rows)
    for row in 0..<rows {
      for column in 0..<columns { result[column, row] = self[row, column] }
    }
    return result
  }

  /// The matrix product; every element is summed in the order of the inner index.
  package func times(_ other: Matrix) -> Matrix {
    precondition(
      columns == other.rows, "[\(rows), \(columns)] times [\(other.rows), \(other.columns)]")
    var product = [Double](repeating: 0, count: rows * other.columns)
    for row in 0..<rows {
      for inner in 0..<columns {
        let factor = self[row, inner]
        let (from, to) = (inner * other.columns, row * other.columns)
        for column in 0..<other.columns {
          product[to + column] += factor * other.values[from + column]
        }
      }
    }
    return Matrix(rows: rows, columns: other.columns, values: product)
  }

  package static func + (a: Matrix, b: Matrix) -> Matrix {
    precondition(a.rows == b.rows && a.columns == b.columns, "sum of different shapes")
    var sum = a
    for index in sum.values.indices { sum.values[index] += b.values[index] }
    return sum
  }
}

/// `Σ a·b`.
func dot(_ a: [Double], _ b: [Double]) -> Double {
  var sum = 0.0
  for index in a.indices { sum += a[index] * b[index] }
  return sum
}

/// `y += factor · x`.
func add(_ factor: Double, _ x: [Double], to y: inout [Double]) {
  for index in y.indices { y[index] += factor * x[index] }
}
