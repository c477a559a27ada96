import Deterministic
import Tensor

/// Floats that a product keeps of its right factor, 8 MiB: with what the threads work on it stays in
/// the third cache.
private let mostPanelFloats = 1 << 21

/// Floats of panels that a product of that many columns and steps of its sums holds.
package func productPanelFloats(columns: Int, steps: Int) -> Int {
  let plan = ProductPlan(columns: columns, steps: steps)
  return Scratch.floats { plan.takePanels(&$0) }
}

/// How columns and steps are cut, so that panels of the right factor fit.
private struct ProductPlan {
  let passes: Blocks
  let chains: Blocks
  /// Chains whose panels are held at once.
  let chainsAtOnce: Int
  private let panelFloats: Int

  init(columns: Int, steps: Int) {
    chains = ProductTile.chains(steps)
    passes = Blocks(columns, near: max(512, mostPanelFloats / max(steps, 1)), multipleOf: 64)
    panelFloats = (passes.longest + 15) / 16 * 16 * chains.longest
    chainsAtOnce = max(1, min(chains.count, mostPanelFloats / max(panelFloats, 1)))
  }

  /// Panels of the right factor, `[·, 16]`.
  func takePanels(_ scratch: inout Scratch) -> View {
    scratch.takeView(rows: panelFloats / 16 * chainsAtOnce, columns: 16)
  }
}

/// `y (+)= a b`, `y [M, K]`; either factor may lie transposed.
///
/// The right factor is packed into panels of sixteen columns by all threads, then tasks of some rows
/// and columns each pack their rows and multiply, so that the tile reads two contiguous streams.
/// Every element is summed in the chains of `ProductTile.chains` and these are added in order: its
/// bits depend on its row of `a` and its column of `b` alone.
func packedProduct(y: View, left: ProductFactor, right: ProductFactor, accumulate: Bool) {
  let steps = left.steps
  precondition(
    left.places == y.rows && right.places == y.columns && right.steps == steps,
    "[\(y.rows), \(y.columns)] is not a product of \(left.places) rows and \(right.places) columns"
      + " in \(steps) and \(right.steps) steps")
  guard y.count > 0 else { return }
  let plan = ProductPlan(columns: y.columns, steps: steps)
  let chains = plan.chains
  Scratch.lend(carving: { plan.takePanels(&$0) }) { panels in
    for index in 0..<plan.passes.count {
      let columns = plan.passes[index]
      for first in Swift.stride(from: 0, to: chains.count, by: plan.chainsAtOnce) {
        ProductPass(
          y: y, left: left, right: right, columns: columns, chains: chains,
          chainRange: first..<min(chains.count, first + plan.chainsAtOnce), panels: panels
        ).run(accumulate: accumulate || first > 0)
      }
    }
  }
}

/// As much of a product as the panels of the right factor can hold at once.
private struct ProductPass: Sendable {
  let y: View
  let left: ProductFactor
  let right: ProductFactor
  let columns: Range<Int>
  let chains: Blocks
  let chainRange: Range<Int>
  /// Chain after chain, `[columns / 16, depth, 16]` each.
  let panels: View

  private var panelCount: Int { (columns.count + 15) / 16 }

  /// Where the panels of a chain begin.
  private func panels(of chain: Int) -> UnsafeMutablePointer<Float> {
    let steps = chains[chain].lowerBound - chains[chainRange.lowerBound].lowerBound
    return panels.base + steps * panelCount * 16
  }

  func run(accumulate: Bool) {
    let groups = Blocks(columns.count, near: 128, multipleOf: 16)
    parallelFor(chainRange.count * groups.count) { index in
      let chain = chainRange.lowerBound + index / groups.count
      let group = groups[index % groups.count]
      let first = columns.lowerBound + group.lowerBound
      right.packRight(
        places: first..<first + group.count, steps: chains[chain],
        into: panels(of: chain) + group.lowerBound * chains[chain].count)
    }
    // Few rows still make enough tasks for several threads.
    let rowBlocks = Blocks(
      y.rows, near: y.rows < 1_024 ? 48 : 96, multipleOf: ProductTile.rows)
    let columnBlocks = Blocks(columns.count, near: 512, multipleOf: 16)
    parallelFor(rowBlocks.count * columnBlocks.count) { index in
      multiply(
        rows: rowBlocks[index % rowBlocks.count], columns: columnBlocks[index / rowBlocks.count],
        accumulate: accumulate)
    }
  }

  /// One task: some rows and, counted from the first of this pass, some columns.
  private func multiply(rows: Range<Int>, columns: Range<Int>, accumulate: Bool) {
    let tileRows = ProductTile.rows
    let tileColumns = ProductTile.columns
    let height = (rows.count + tileRows - 1) / tileRows * tileRows
    let stride = y.stride
    Scratch.lend(carving: { $0.take(height * chains.longest + 2) }) { packed in
      for chain in chainRange {
        let steps = chains[chain]
        let depth = steps.count
        left.packLeft(places: rows, steps: steps, into: packed)
        let adds = accumulate || chain > chainRange.lowerBound
        let right = panels(of: chain)
        for column in Swift.stride(
          from: columns.lowerBound, to: columns.upperBound, by: tileColumns)
        {
          let first = self.columns.lowerBound + column
          let width = min(tileColumns, columns.upperBound - column)
          if !y.isInOneBand(first..<first + width) {
            multiplyAcross(
              rows: rows, firstColumn: first, columns: width, a: packed,
              b: right + column * depth, depth: depth, accumulate: adds)
            continue
          }
          let to = y.start(ofColumn: first) + rows.lowerBound * stride
          for row in Swift.stride(from: 0, to: rows.count, by: tileRows) {
            ProductTile.multiply(
              to + row * stride, stride: stride, a: packed + row * depth,
              b: right + column * depth, depth: depth, rows: min(tileRows, rows.count - row),
              columns: width, accumulate: adds)
          }
        }
      }
    }
  }

  /// The tiles of columns that lie in two bands; `a [rows / 6, depth, 6]`, `b [depth, 16]`, packed.
  private func multiplyAcross(
    rows: Range<Int>, firstColumn: Int, columns: Int, a: UnsafePointer<Float>,
    b: UnsafePointer<Float>, depth: Int, accumulate: Bool
  ) {
    let (tileRows, tileColumns) = (ProductTile.rows, ProductTile.columns)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: tileRows * tileColumns) { block in
      guard let tile = block.baseAddress else { return }
      for row in Swift.stride(from: 0, to: rows.count, by: tileRows) {
        ProductTile.multiply(
          tile, stride: tileColumns, a: a + row * depth, b: b, depth: depth, rows: tileRows,
          columns: tileColumns, accumulate: false)
        for column in 0..<columns {
          let to = y.start(ofColumn: firstColumn + column) + (rows.lowerBound + row) * y.stride
          for index in 0..<min(tileRows, rows.count - row) {
            let sum = tile[index * tileColumns + column]
            to[index * y.stride] = accumulate ? to[index * y.stride] + sum : sum
          }
        }
      }
    }
  }
}
