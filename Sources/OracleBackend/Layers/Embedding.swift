import Host
package import Tensor

extension ReferenceKernels {
  /// `y[n] = table[ids[n]]`.
  package static func embedding(ids: [Int32], table: Matrix) -> Matrix {
    var y = Matrix(rows: ids.count, columns: table.columns)
    for n in 0..<y.rows {
      for c in 0..<y.columns { y[n, c] = table[Int(ids[n]), c] }
    }
    return y
  }

  /// `dTable[ids[n]] += dy[n]`, from zeros.
  static func embeddingBackward(ids: [Int32], dy: Matrix, vocabulary: Int) -> Matrix {
    var dTable = Matrix(rows: vocabulary, columns: dy.columns)
    for n in 0..<dy.rows {
      for c in 0..<dy.columns { dTable[Int(ids[n]), c] += dy[n, c] }
    }
    return dTable
  }
}

extension OracleKernels {
  package func embeddingForward(y: View, ids: Indices, table: View) {
    ReferenceKernels.embedding(ids: ids.numbers, table: Matrix(of: table)).write(to: y)
  }

  package func embeddingBackward(dTable: View, dy: View, ids: Indices) {
    ReferenceKernels.embeddingBackward(
      ids: ids.numbers, dy: Matrix(of: dy), vocabulary: dTable.rows
    ).add(to: dTable)
  }
}
