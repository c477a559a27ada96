import Deterministic
import Host
package import Tensor

/// Row lookup in a table, `y [N, C]`, `table [V, C]`; `dTable` accumulates.
extension CPUKernels {
  /// `y[n] = table[ids[n]]`.
  package func embeddingForward(y: View, ids: Indices, table: View) {
    let ids = ids.numbers
    precondition(
      y.rows == ids.count && y.columns == table.columns,
      "y [\(y.rows), \(y.columns)], \(ids.count) ids, table [\(table.rows), \(table.columns)]")
    parallelFor(ids.count, grain: rowGrain(columns: y.columns)) { range in
      let to = y.base
      let from = table.base
      for n in range {
        let id = checkedRow(ids[n], of: table)
        (to + n * y.stride).update(from: from + id * table.stride, count: y.columns)
      }
    }
  }

  /// `dTable[ids[n]] += dy[n]`, in the order of positions.
  ///
  /// Ids repeat, so the work is cut by columns: every chunk walks all positions and no element
  /// has two writers.
  package func embeddingBackward(dTable: View, dy: View, ids: Indices) {
    let ids = ids.numbers
    precondition(
      dy.rows == ids.count && dy.columns == dTable.columns,
      "dy [\(dy.rows), \(dy.columns)], \(ids.count) ids, table [\(dTable.rows), \(dTable.columns)]")
    parallelFor(dTable.columns, grain: 128) { columns in
      let from = dy.base + columns.lowerBound
      let to = dTable.base + columns.lowerBound
      for n in ids.indices {
        addRow(
          to + checkedRow(ids[n], of: dTable) * dTable.stride, from + n * dy.stride,
          count: columns.count)
      }
    }
  }
}

/// A token id as a row number, checked: an id beyond the table would write foreign memory.
@inline(__always)
private func checkedRow(_ id: Int32, of table: View) -> Int {
  precondition(id >= 0 && id < table.rows, "id \(id) in a table of \(table.rows)")
  return Int(id)
}

/// `x[i] += y[i]` for `count` elements.
@inline(__always)
func addRow(_ x: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, count: Int) {
  let whole = count & ~7
  var index = 0
  while index < whole {
    store(load(x + index) + load(y + index), x + index)
    index += 8
  }
  while index < count {
    x[index] += y[index]
    index += 1
  }
}
