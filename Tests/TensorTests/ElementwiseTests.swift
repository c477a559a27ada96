import CPUBackend
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels()

/// Rows, columns and padding: one element, odd, whole vectors, past them, ragged, strided.
private let shapes: [(rows: Int, columns: Int, padding: Int)] = [
  (1, 1, 0), (3, 7, 0), (5, 8, 5), (4, 33, 0), (17, 50, 3), (65, 96, 0), (40, 1031, 9),
]

@Suite struct ResidualTests {
  @Test(arguments: shapes)
  func addsInPlace(rows: Int, columns: Int, padding: Int) {
    let x = randomView(rows: rows, columns: columns, seed: 1, padding: padding)
    let y = randomView(rows: rows, columns: columns, seed: 2, padding: padding)
    let expected = Matrix(x) + Matrix(y)
    expectThreadIndependence {
      let sum = duplicate(x)
      kernels.residualAdd(x: sum, y: y)
      #expect(gapsUntouched(sum))
      expectClose(sum, expected, relative: 1e-7, absolute: 1e-7)
      return [sum]
    }
  }
}

@Suite struct EmbeddingTests {
  @Test(arguments: shapes)
  func looksUpAndScatters(rows: Int, columns: Int, padding: Int) {
    let vocabulary = 11
    let table = randomView(rows: vocabulary, columns: columns, seed: 1, padding: padding)
    let dy = randomView(rows: rows, columns: columns, seed: 2, padding: padding)
    let ids = randomIds(rows, below: vocabulary, seed: 3)
    let y = filledView(rows: rows, columns: columns, value: .nan, padding: padding)
    kernels.embeddingForward(y: y, ids: ids, table: table)
    expectClose(y, ReferenceKernels.embedding(ids: ids, table: Matrix(table)), relative: 0)
    #expect(gapsUntouched(y))

    // Starting from ones shows that the gradient accumulates.
    var expected = Matrix(filledView(rows: vocabulary, columns: columns, value: 1))
    for (n, id) in ids.enumerated() {
      for c in 0..<columns { expected[Int(id), c] += Double(dy[n, c]) }
    }
    expectThreadIndependence {
      let dTable = filledView(rows: vocabulary, columns: columns, value: 1, padding: padding)
      kernels.embeddingBackward(dTable: dTable, dy: dy, ids: ids)
      expectClose(dTable, expected)
      #expect(gapsUntouched(dTable))
      return [dTable]
    }
  }

  @Test func noPositionsLeaveTheTable() {
    let dTable = filledView(rows: 3, columns: 4, value: 1)
    kernels.embeddingBackward(dTable: dTable, dy: View(rows: 0, columns: 4), ids: [])
    #expect(dTable.elements == [Float](repeating: 1, count: 12))
  }
}

@Suite struct SwiGLUTests {
  @Test(arguments: shapes)
  func matchesTwin(rows: Int, columns: Int, padding: Int) {
    let gateUp = randomView(
      rows: rows, columns: 2 * columns, seed: 1, deviation: 2, padding: padding)
    let dy = randomView(rows: rows, columns: columns, seed: 2, padding: padding)
    let input = Matrix(gateUp)
    expectThreadIndependence {
      let y = filledView(rows: rows, columns: columns, value: .nan, padding: padding)
      kernels.swiGLUForward(y: y, gateUp: gateUp)
      expectClose(y, ReferenceKernels.swiGLU(gateUp: input), relative: 2e-6, absolute: 1e-6)
      #expect(gapsUntouched(y))
      let dGateUp = filledView(rows: rows, columns: 2 * columns, value: .nan, padding: padding)
      let again = filledView(rows: rows, columns: columns, value: .nan, padding: padding)
      kernels.swiGLUBackward(dGateUp: dGateUp, y: again, dy: dy, gateUp: gateUp)
      #expect(gapsUntouched(dGateUp) && gapsUntouched(again))
      expectSameBits(again, y, "the backward pass repeats y")
      return [y, dGateUp]
    }
    // Few rows are enough for the differences, each of which evaluates the twin twice.
    let few = 0..<min(rows, 4)
    let dGateUp = filledView(rows: rows, columns: 2 * columns, value: .nan)
    kernels.swiGLUBackward(
      dGateUp: dGateUp, y: View(rows: rows, columns: columns), dy: dy, gateUp: gateUp)
    expectGradient(
      dGateUp.rows(few), at: Matrix(gateUp.rows(few)), upstream: Matrix(dy.rows(few))
    ) { ReferenceKernels.swiGLU(gateUp: $0) }
  }

  @Test func extremeGatesStayFinite() {
    let gates: [Float] = [-1e30, -1e4, -100, -88, 88, 100, 1e4, 1e30]
    let gateUp = View(
      rows: 1, columns: 16, elements: gates + [Float](repeating: 0.5, count: 8))
    let y = View(rows: 1, columns: 8)
    kernels.swiGLUForward(y: y, gateUp: gateUp)
    let dGateUp = View(rows: 1, columns: 16)
    let again = View(rows: 1, columns: 8)
    kernels.swiGLUBackward(
      dGateUp: dGateUp, y: again, dy: filledView(rows: 1, columns: 8, value: 1), gateUp: gateUp)
    expectSameBits(again, y)
    #expect((y.elements + dGateUp.elements).allSatisfy { $0.isFinite })
    #expect(y[0, 7] == 5e29)
    #expect(abs(y[0, 2]) < 1e-30)
  }
}
