import Deterministic
package import Tensor

/// A matrix of Doubles with value semantics, for the slow twins.
package struct Matrix: Sendable {
  package let rows: Int
  package let columns: Int
  package var values: [Double]

  /// A matrix of zeros.
  package init(rows: Int, columns: Int) {
    self.rows = rows
    self.columns = columns
    values = [Double](repeating: 0, count: rows * columns)
  }

  /// The elements of a view, widened.
  package init(_ view: View) {
    rows = view.rows
    columns = view.columns
    values = view.elements.map(Double.init)
  }

  /// A matrix of seeded normal numbers.
  package init(rows: Int, columns: Int, seed: UInt64, deviation: Double = 1) {
    self.init(rows: rows, columns: columns)
    let random = CounterRandom(seed: seed)
    for index in values.indices {
      values[index] = deviation * random.gaussian(UInt64(index))
    }
  }

  package subscript(row: Int, column: Int) -> Double {
    get { values[row * columns + column] }
    set { values[row * columns + column] = newValue }
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

  /// The matrix product.
  package func times(_ other: Matrix) -> Matrix {
    var result = Matrix(rows: rows, columns: other.columns)
    for row in 0..<rows {
      for inner in 0..<columns {
        let factor = self[row, inner]
        for column in 0..<other.columns { result[row, column] += factor * other[inner, column] }
      }
    }
    return result
  }

  package static func + (a: Matrix, b: Matrix) -> Matrix {
    var sum = a
    for index in sum.values.indices { sum.values[index] += b.values[index] }
    return sum
  }
}
