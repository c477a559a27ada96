package import Tensor

extension GPUKernels {
  package func embeddingForward(y: View, ids: Indices, table: View) {
    precondition(
      y.rows == ids.count && y.columns == table.columns,
      "y [\(y.rows), \(y.columns)], \(ids.count) ids, table [\(table.rows), \(table.columns)]")
    checkRows(ids, of: table)
    driver.launch(
      GPUKernel("embedding", "embedding_forward"), grid: .warps(y.rows), y.matrix, ids.address,
      table.matrix)
  }

  package func embeddingBackward(dTable: View, dy: View, ids: Indices) {
    precondition(
      dy.rows == ids.count && dy.columns == dTable.columns,
      "dy [\(dy.rows), \(dy.columns)], \(ids.count) ids, table [\(dTable.rows), \(dTable.columns)]")
    checkRows(ids, of: dTable)
    guard dy.rows > 0 else { return }
    let plan = EmbeddingPlan(ids.numbers, rows: dTable.rows)
    let sums = 4 * plan.shares.count * dy.columns
    scratch.lend(
      [4 * plan.order.count, 8 * plan.shares.count, 16 * plan.owners.count, sums]
    ) { parts in
      copyIn(plan.order, to: parts[0])
      copyIn(plan.shares, to: parts[1])
      copyIn(plan.owners, to: parts[2])
      let sums = View(
        Buffer(address: parts[3], count: sums / 4, home: .device, bytes: 0) {}, offset: 0,
        rows: plan.shares.count, columns: dy.columns)
      driver.launch(
        GPUKernel("embedding", "embedding_shares"), grid: .warps(sums.rows), sums.matrix,
        dy.matrix, parts[0], parts[1])
      driver.launch(
        GPUKernel("embedding", "embedding_owners"), grid: .warps(plan.owners.count),
        dTable.matrix, sums.matrix, parts[2], Int32(plan.owners.count))
    }
  }

  private func checkRows(_ ids: Indices, of table: View) {
    for id in ids.numbers {
      precondition(id >= 0 && id < table.rows, "id \(id) in a table of \(table.rows)")
    }
  }
}

/// Which positions add up to which row of the table's gradient, and in which order.
private struct EmbeddingPlan {
  /// Positions by id, those of one id in their order.
  private(set) var order: [Int32]
  /// First place in `order` and how many, at most 64 of one id.
  private(set) var shares: [SIMD2<Int32>] = []
  /// Id, first share, shares.
  private(set) var owners: [SIMD4<Int32>] = []

  init(_ ids: [Int32], rows: Int) {
    var starts = [Int](repeating: 0, count: rows + 1)
    for id in ids { starts[Int(id) + 1] += 1 }
    for id in 0..<rows { starts[id + 1] += starts[id] }
    var next = starts
    order = [Int32](repeating: 0, count: ids.count)
    for (position, id) in ids.enumerated() {
      order[next[Int(id)]] = Int32(position)
      next[Int(id)] += 1
    }
    for id in 0..<rows where starts[id] < starts[id + 1] {
      let first = Int32(shares.count)
      for start in stride(from: starts[id], to: starts[id + 1], by: 64) {
        shares.append(SIMD2(Int32(start), Int32(min(64, starts[id + 1] - start))))
      }
      owners.append(SIMD4(Int32(id), first, Int32(shares.count) - first, 0))
    }
  }
}
