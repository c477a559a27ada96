import CPUBackend
import Deterministic
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

/// Single rows of a table moved by AdaGrad with one number a row.
@Suite struct MoveRowsTests {
  @Test(arguments: [1, 7, 8, 33, 64]) func stepsMatchTwin(columns: Int) throws {
    let rows = 21
    var results: [[[Float]]] = []
    let start = CounterRandom(seed: 1).gaussians(0..<rows * columns, deviation: 1)
    for kernels in [CPUKernels(), OracleKernels()] as [any Kernels] {
      let table = try kernels.makeView(rows: rows, columns: columns)
      try kernels.write(start, to: table)
      let squares = try kernels.makeView(rows: 1, columns: rows)
      let gradients = try kernels.makeView(rows: 5, columns: columns)
      for step in 1...3 {
        let ids: [Int32] = [0, 4, 5, Int32(5 + step), 20]
        // The last row, at which no target has pulled, stays.
        let numbers = CounterRandom(seed: 2, UInt64(step)).gaussians(
          0..<4 * columns, deviation: 0.1)
        try kernels.write(numbers + Array(repeating: 0, count: columns), to: gradients)
        kernels.moveRows(
          table: table, squares: squares, gradients: gradients, rows: try kernels.place(ids),
          rate: 0.02)
      }
      results.append([try kernels.numbers(of: table), try kernels.numbers(of: squares)])
    }
    for (a, b) in zip(results[0].joined(), results[1].joined()) {
      #expect(abs(a - b) <= 1e-5 * max(1, abs(b)))
    }
    for row in [1, 9, 20] {
      let range = row * columns..<(row + 1) * columns
      #expect(Array(results[0][0][range]) == Array(start[range]), "\(row)")
    }
    #expect(results[0][1].count { $0 > 0 } == 6)
  }

  @Test func threadsDoNotMatter() {
    expectThreadIndependence {
      let table = View(rows: 3_000, columns: 40)
      let squares = View(rows: 1, columns: 3_000)
      let gradients = View(rows: 2_000, columns: 40)
      gradients.fillGaussian(deviation: 0.1, from: CounterRandom(seed: 2))
      CPUKernels().moveRows(
        table: table, squares: squares, gradients: gradients,
        rows: Indices((0..<2_000).map { Int32($0 + 500) }), rate: 0.02)
      return [table, squares]
    }
  }
}
