import CProcessor
import Deterministic
import Host
import Tensor

/// Floats of B that are held packed, 8 MiB: with what the threads work on they stay in L3.
private let mostPanelFloats = 1 << 21

/// Floats of packed panels that a product of that many columns, N, and steps of its sums, K, holds.
package func productPanelFloats(columns: Int, steps: Int) -> Int {
  let plan = GEMMPlan(n: columns, k: steps)
  return Scratch.floats { plan.takePanels(&$0) }
}

/// How N and K are cut so that the packed panels of B fit.
private struct GEMMPlan {
  let nBlocks: Partition
  let kBlocks: Partition
  /// k-blocks whose panels are held at once.
  let kBlocksAtOnce: Int
  private let panelFloats: Int

  init(n: Int, k: Int) {
    kBlocks = MicroKernel.kBlocks(k)
    nBlocks = Partition(n, near: max(512, mostPanelFloats / max(k, 1)), multipleOf: 64)
    panelFloats = (nBlocks.longest + 15) / 16 * 16 * (kBlocks.longest + 1) / 2 * 2
    kBlocksAtOnce = max(1, min(kBlocks.count, mostPanelFloats / max(panelFloats, 1)))
  }

  /// Whether the panels of all of B can be held at once.
  var isOnePass: Bool { nBlocks.count == 1 && kBlocks.count <= kBlocksAtOnce }

  /// Memory of the packed panels, `[·, 16]`.
  func takePanels(_ scratch: inout Scratch) -> View {
    scratch.takeView(rows: panelFloats / 16 * kBlocksAtOnce, columns: 16)
  }
}

/// `C (+)= A B`, `C [M, N]`, `A [M, K]`, `B [K, N]`; either operand may lie transposed.
///
/// All threads pack B into panels of sixteen columns. Then each task packs some rows of A and
/// multiplies them with some columns, so that the micro-kernel reads two contiguous streams. An
/// element is summed over each of `MicroKernel.kBlocks` in registers, and these sums are added in
/// order: its bits depend on its row of A and its column of B alone.
///
/// - Parameters:
///   - c: C.
///   - a: A.
///   - b: B.
///   - accumulate: Whether the product is added to C or replaces it.
///   - form: How it is computed.
///   - isSymmetric: Whether C is known to be symmetric, which then is half of the work: tiles above the
///     diagonal are left out, and what is below it is copied there.
func gemm(
  c: View, a: GEMMOperand, b: GEMMOperand, accumulate: Bool, form: ProductForm = .float32,
  isSymmetric: Bool = false
) {
  precondition(
    a.mn == c.rows && b.mn == c.columns && b.k == a.k,
    "C [\(c.rows), \(c.columns)] is not a product of A [\(a.mn), \(a.k)] and B [\(b.k), \(b.mn)]")
  guard c.count > 0 else { return }
  let plan = GEMMPlan(n: c.columns, k: a.k)
  let kBlocks = plan.kBlocks
  Scratch.lend(carving: { plan.takePanels(&$0) }) { panels in
    for index in 0..<plan.nBlocks.count {
      let columns = plan.nBlocks[index]
      for first in Swift.stride(from: 0, to: kBlocks.count, by: plan.kBlocksAtOnce) {
        GEMMPass(
          c: c, a: a, b: b, columns: columns, kBlocks: kBlocks,
          kBlockRange: first..<min(kBlocks.count, first + plan.kBlocksAtOnce), panels: panels,
          form: form, isSymmetric: isSymmetric
        ).run(accumulate: accumulate || first > 0)
      }
    }
  }
  if isSymmetric { parallelFor(mirrorPieces(c)) { mirror(c, piece: $0) } }
}

/// One of several products that do not depend on each other.
struct GEMMProduct: Sendable {
  let c: View
  let a: GEMMOperand
  let b: GEMMOperand
  /// Whether C is known to be symmetric.
  let isSymmetric: Bool
}

/// Products that do not depend on each other, `C = A B` each, with the bits of each by itself.
///
/// A loop over the pieces of all of them keeps many threads busy where one small product would not.
func gemm(sideBySide products: [GEMMProduct]) {
  let plans = products.map { GEMMPlan(n: $0.c.columns, k: $0.a.k) }
  guard products.count > 1, plans.allSatisfy(\.isOnePass) else {
    for product in products {
      gemm(
        c: product.c, a: product.a, b: product.b, accumulate: false,
        isSymmetric: product.isSymmetric)
    }
    return
  }
  let carve = { (scratch: inout Scratch) in plans.map { $0.takePanels(&scratch) } }
  Scratch.lend(carving: carve) { panels in
    let passes = products.indices.map { index in
      GEMMPass(
        c: products[index].c, a: products[index].a, b: products[index].b,
        columns: 0..<products[index].c.columns, kBlocks: plans[index].kBlocks,
        kBlockRange: 0..<plans[index].kBlocks.count, panels: panels[index], form: .float32,
        isSymmetric: products[index].isSymmetric)
    }
    parallelFor(jobs: passes.map(\.packPieces)) { passes[$0].pack($1) }
    // As many threads as a product has for itself.
    let threads = (Parallel.threads + products.count - 1) / products.count
    let cuts = passes.map { $0.cut(threads: threads) }
    parallelFor(jobs: cuts.map(\.count)) { job, piece in
      passes[job].multiply(cuts[job], piece, accumulate: false)
    }
  }
  let pieces = products.map { $0.isSymmetric ? mirrorPieces($0.c) : 0 }
  parallelFor(jobs: pieces) { mirror(products[$0].c, piece: $1) }
}

/// Floats of packed panels that products hold side by side, `[N, K]` the shapes of B.
func sideBySidePanelFloats(_ shapes: [(columns: Int, steps: Int)]) -> Int {
  Scratch.floats { scratch in
    for shape in shapes { _ = GEMMPlan(n: shape.columns, k: shape.steps).takePanels(&scratch) }
  }
}

/// Pieces of eight rows.
private func mirrorPieces(_ c: View) -> Int { (c.rows + 7) / 8 }

/// Copies what is below the diagonal in eight rows to the other side of it.
private func mirror(_ c: View, piece: Int) {
  precondition(c.rows == c.columns && c.hasOneBand)
  let rows = 8 * piece..<min(c.rows, 8 * piece + 8)
  let (base, stride) = (c.base, c.stride)
  var column = 0
  if rows.count == 8 {
    // Eight by eight in registers, up to the square on the diagonal.
    while column < rows.lowerBound {
      let from = base + rows.lowerBound * stride + column
      let to = base + column * stride + rows.lowerBound
      let t = transposeEight(
        load(from), load(from + stride), load(from + 2 * stride), load(from + 3 * stride),
        load(from + 4 * stride), load(from + 5 * stride), load(from + 6 * stride),
        load(from + 7 * stride))
      store(t.0, to)
      store(t.1, to + stride)
      store(t.2, to + 2 * stride)
      store(t.3, to + 3 * stride)
      store(t.4, to + 4 * stride)
      store(t.5, to + 5 * stride)
      store(t.6, to + 6 * stride)
      store(t.7, to + 7 * stride)
      column += 8
    }
  }
  while column < rows.upperBound {
    for row in max(rows.lowerBound, column + 1)..<max(rows.upperBound, column + 1) {
      base[column * stride + row] = base[row * stride + column]
    }
    column += 1
  }
}

/// As much of a product as the packed panels of B can hold at once.
private struct GEMMPass: Sendable {
  let c: View
  let a: GEMMOperand
  let b: GEMMOperand
  let columns: Range<Int>
  let kBlocks: Partition
  let kBlockRange: Range<Int>
  /// k-block after k-block, `[columns / 16, steps, 16]` each.
  let panels: View
  let form: ProductForm
  /// Whether tiles above the diagonal of C are left out.
  let isSymmetric: Bool

  private var panelCount: Int { (columns.count + 15) / 16 }

  /// Where the panels of a k-block begin.
  private func panels(of kBlock: Int) -> UnsafeMutablePointer<Float> {
    let k = kBlocks[kBlock].lowerBound - kBlocks[kBlockRange.lowerBound].lowerBound
    return panels.base + k * panelCount * 16
  }

  func run(accumulate: Bool) {
    parallelFor(packPieces) { pack($0) }
    let cut = cut(threads: Parallel.threads)
    parallelFor(cut.count) { multiply(cut, $0, accumulate: accumulate) }
  }

  /// Columns of B that are packed by one task.
  private var packGroups: Partition { Partition(columns.count, near: 128, multipleOf: 16) }
  /// Tasks that pack B.
  var packPieces: Int { kBlockRange.count * packGroups.count }

  /// One task of packing B.
  func pack(_ piece: Int) {
    let groups = packGroups
    let kBlock = kBlockRange.lowerBound + piece / groups.count
    let group = groups[piece % groups.count]
    let first = columns.lowerBound + group.lowerBound
    b.packB(
      n: first..<first + group.count, k: kBlocks[kBlock], form: form,
      into: panels(of: kBlock) + group.lowerBound * form.steps(kBlocks[kBlock].count))
  }

  /// Tasks of a product.
  struct Cut: Sendable {
    let rows: EvenPartition
    let columns: Partition
    var count: Int { rows.count * columns.count }
  }

  /// Some eight tasks a thread, as many for one thread as for another.
  ///
  /// They keep all threads busy to the end, but tasks of fewer rows read B more often and those of fewer
  /// columns pack A more often. An element's bits are the same in any task, so this may follow the
  /// number of threads.
  func cut(threads: Int) -> Cut {
    var columnsOfTask = 2_048
    while columnsOfTask > 512 && c.rows * columns.count < 8 * threads * 96 * columnsOfTask {
      columnsOfTask /= 2
    }
    while columnsOfTask > 128 && c.rows * columns.count < 4 * threads * 24 * columnsOfTask {
      columnsOfTask /= 2
    }
    let columnBlocks = Partition(
      columns.count, near: columnsOfTask, multipleOf: MicroKernel.tileColumns)
    let rowsOfTask = min(96, max(24, c.rows * columnBlocks.count / (8 * threads)))
    return Cut(
      rows: EvenPartition(
        c.rows, near: rowsOfTask, multipleOf: MicroKernel.tileRows,
        times: columnBlocks.count, over: threads),
      columns: columnBlocks)
  }

  func multiply(_ cut: Cut, _ piece: Int, accumulate: Bool) {
    multiply(
      rows: cut.rows[piece % cut.rows.count], columns: cut.columns[piece / cut.rows.count],
      accumulate: accumulate)
  }

  /// One task: some rows and, counted from the first of this pass, some columns.
  private func multiply(rows: Range<Int>, columns: Range<Int>, accumulate: Bool) {
    let tileRows = MicroKernel.tileRows
    let tileColumns = MicroKernel.tileColumns
    let height = (rows.count + MicroKernel.rows - 1) / MicroKernel.rows * MicroKernel.rows
    let stride = c.stride
    // Instructions on pairs of bfloat16 know no subnormal numbers.
    let before = form == .float32 ? 0 : cp_flush_subnormals()
    defer { if form != .float32 { cp_keep_subnormals(before) } }
    Scratch.lend(carving: { $0.take(height * (kBlocks.longest + 1) + 2) }) { packedA in
      for kBlock in kBlockRange {
        let k = form.steps(kBlocks[kBlock].count)
        a.packA(m: rows, k: kBlocks[kBlock], form: form, into: packedA)
        let adds = accumulate || kBlock > kBlockRange.lowerBound
        let packedB = panels(of: kBlock)
        for column in Swift.stride(
          from: columns.lowerBound, to: columns.upperBound, by: tileColumns)
        {
          let first = self.columns.lowerBound + column
          let width = min(tileColumns, columns.upperBound - column)
          if !c.isInOneBand(first..<first + width) {
            multiplyAcross(
              rows: rows, firstColumn: first, columns: width, a: packedA, b: packedB + column * k,
              k: k, accumulate: adds)
            continue
          }
          let to = c.start(ofColumn: first) + rows.lowerBound * stride
          // The first tile with a row that reaches the diagonal.
          let top = isSymmetric ? max(0, first - rows.lowerBound) / tileRows * tileRows : 0
          for row in Swift.stride(from: top, to: rows.count, by: tileRows) {
            MicroKernel.multiply(
              to + row * stride, stride: stride, a: packedA + row * k, b: packedB + column * k,
              k: k, rows: min(tileRows, rows.count - row), columns: width, accumulate: adds,
              form: form)
          }
        }
      }
    }
  }

  /// The tiles whose columns lie in two bands; `a [rows / 6, k, 6]` and `b [columns / 16, k, 16]`,
  /// packed, with k steps.
  private func multiplyAcross(
    rows: Range<Int>, firstColumn: Int, columns: Int, a: UnsafePointer<Float>,
    b: UnsafePointer<Float>, k: Int, accumulate: Bool
  ) {
    let (tileRows, tileColumns) = (MicroKernel.tileRows, MicroKernel.tileColumns)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: tileRows * tileColumns) { block in
      guard let tile = block.baseAddress else { return }
      for row in Swift.stride(from: 0, to: rows.count, by: tileRows) {
        let left = min(tileRows, rows.count - row)
        // Whole panels: what is past the last row or column is never read.
        MicroKernel.multiply(
          tile, stride: tileColumns, a: a + row * k, b: b, k: k, rows: (left + 5) / 6 * 6,
          columns: (columns + 15) / 16 * 16, accumulate: false, form: form)
        for column in 0..<columns {
          let to = c.start(ofColumn: firstColumn + column) + (rows.lowerBound + row) * c.stride
          for index in 0..<left {
            let sum = tile[index * tileColumns + column]
            to[index * c.stride] = accumulate ? to[index * c.stride] + sum : sum
          }
        }
      }
    }
  }
}
