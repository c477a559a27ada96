import CPUBackend
import Deterministic
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels()

@Suite struct LinearTests {
  /// Rows, inputs, outputs and padding.
  static let shapes: [(rows: Int, inputs: Int, outputs: Int, padding: Int)] = [
    (1, 1, 1, 0), (3, 5, 7, 0), (5, 8, 16, 3), (24, 33, 65, 0), (25, 17, 130, 7), (100, 96, 64, 0),
    (207, 40, 513, 1),
    // Several chains of a sum; several passes over columns; several passes over steps.
    (300, 600, 100, 3), (60, 2_100, 1_100, 0), (50, 4_500, 520, 0),
  ]

  @Test(arguments: shapes)
  func forwardMatchesTwin(rows: Int, inputs: Int, outputs: Int, padding: Int) {
    let x = randomView(rows: rows, columns: inputs, seed: 1, padding: padding)
    let w = randomView(rows: outputs, columns: inputs, seed: 2, padding: padding)
    let start = randomView(rows: rows, columns: outputs, seed: 3, padding: padding)
    let product = ReferenceKernels.linear(x: Matrix(x), w: Matrix(w))
    let tolerance = 1e-5 * Double(inputs).squareRoot()
    expectThreadIndependence {
      let y = filledView(rows: rows, columns: outputs, value: .nan, padding: padding)
      kernels.linearForward(y: y, x: x, w: w, accumulate: false)
      expectClose(y, product, absolute: tolerance, "overwrites")
      #expect(gapsUntouched(y))
      let sum = duplicate(start)
      kernels.linearForward(y: sum, x: x, w: w, accumulate: true)
      expectClose(sum, Matrix(start) + product, absolute: tolerance, "accumulates")
      #expect(gapsUntouched(sum))
      return [y, sum]
    }
  }

  @Test(arguments: shapes)
  func backwardMatchesDifferences(rows: Int, inputs: Int, outputs: Int, padding: Int) {
    let x = randomView(rows: rows, columns: inputs, seed: 1, padding: padding)
    let w = randomView(rows: outputs, columns: inputs, seed: 2, padding: padding)
    let dy = randomView(rows: rows, columns: outputs, seed: 3, padding: padding)
    let dx = filledView(rows: rows, columns: inputs, value: .nan, padding: padding)
    kernels.linearBackwardInput(dx: dx, dy: dy, w: w, accumulate: false)
    let dw = filledView(rows: outputs, columns: inputs, value: 0, padding: padding)
    kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
    #expect(gapsUntouched(dx) && gapsUntouched(dw))
    let (wideX, wideW) = (Matrix(x), Matrix(w))
    let few = 0..<min(rows, 3)
    expectGradient(
      dx.rows(few), at: Matrix(x.rows(few)), upstream: Matrix(dy.rows(few)), samples: 30, "dx"
    ) { ReferenceKernels.linear(x: $0, w: wideW) }
    let head = 0..<min(outputs, 9)
    expectGradient(
      dw.rows(head), at: Matrix(w.rows(head)), upstream: Matrix(dy.columns(head)), samples: 30,
      "dw"
    ) { ReferenceKernels.linear(x: wideX, w: $0) }
  }

  @Test(arguments: shapes)
  func backwardAccumulatesTheSameForAnyThreads(
    rows: Int, inputs: Int, outputs: Int, padding: Int
  ) {
    let x = randomView(rows: rows, columns: inputs, seed: 1, padding: padding)
    let w = randomView(rows: outputs, columns: inputs, seed: 2)
    let dy = randomView(rows: rows, columns: outputs, seed: 3, padding: padding)
    let startX = randomView(rows: rows, columns: inputs, seed: 4, padding: padding)
    let startW = randomView(rows: outputs, columns: inputs, seed: 5, padding: padding)
    let bareX = filledView(rows: rows, columns: inputs, value: 0)
    let bareW = filledView(rows: outputs, columns: inputs, value: 0)
    kernels.linearBackwardInput(dx: bareX, dy: dy, w: w, accumulate: false)
    kernels.linearBackwardWeight(dw: bareW, dy: dy, x: x)
    expectThreadIndependence {
      let dx = duplicate(startX)
      let dw = duplicate(startW)
      kernels.linearBackwardInput(dx: dx, dy: dy, w: w, accumulate: true)
      kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
      expectClose(dx, Matrix(startX) + Matrix(bareX), absolute: 2e-4, "dx")
      expectClose(dw, Matrix(startW) + Matrix(bareW), absolute: 2e-4, "dw")
      #expect(gapsUntouched(dx) && gapsUntouched(dw))
      return [dx, dw]
    }
  }

  /// The bits of a row do not depend on how many rows are computed with it, nor on its place.
  @Test(arguments: [
    (3, 7), (33, 1), (64, 48), (96, 63), (96, 64), (128, 65), (100, 127), (128, 384), (64, 1000),
    (192, 513), (513, 768), (40, 8001), (1408, 100),
  ])
  func rowsDoNotDependOnTheBatch(inputs: Int, outputs: Int) {
    let rows = 333
    let x = randomView(rows: rows, columns: inputs, seed: 1)
    let w = randomView(rows: outputs, columns: inputs, seed: 2)
    for accumulate in [false, true] {
      let whole = filledView(rows: rows, columns: outputs, value: 0.5)
      kernels.linearForward(y: whole, x: x, w: w, accumulate: accumulate)
      for (first, count) in [
        (0, 1), (5, 1), (332, 1), (7, 2), (9, 3), (1, 4), (7, 5), (3, 24), (100, 25), (50, 100),
      ] {
        // A copy with room of its own, whose spare rows hold something else.
        let part = randomView(rows: count, columns: inputs, seed: 9)
        part.copy(from: x.rows(first..<first + count))
        let y = filledView(rows: count, columns: outputs, value: 0.5)
        kernels.linearForward(y: y, x: part, w: w, accumulate: accumulate)
        expectSameBits(
          y, whole.rows(first..<first + count), "rows \(first)+\(count) accumulate \(accumulate)")
      }
    }
  }

  /// Tasks of a product, which end together only if there are as many for one thread as for another.
  @Test(arguments: [(2_048, 512), (2_048, 1_536), (1_000, 700), (512, 512)], [2, 3, 4, 16])
  func tasksAreSharedOutEvenly(shape: (rows: Int, outputs: Int), threads: Int) throws {
    let x = randomView(rows: shape.rows, columns: 24, seed: 1)
    let w = randomView(rows: shape.outputs, columns: 24, seed: 2)
    let y = filledView(rows: shape.rows, columns: shape.outputs, value: 0)
    // One trace at a time.
    let trace = withThreads(2) {
      LoopTrace.record(threads: threads, times: 1) {
        kernels.linearForward(y: y, x: x, w: w, accumulate: false)
      }
    }
    // The loop before it packs B.
    let tasks = try #require(trace.loops.last).pieces.count
    #expect(trace.loops.count == 2 && tasks >= threads && tasks % threads == 0, "\(tasks) tasks")
  }

  @Test func noRowsAreNoWork() {
    let w = randomView(rows: 5, columns: 4, seed: 1)
    let none = View(rows: 0, columns: 4)
    kernels.linearForward(y: View(rows: 0, columns: 5), x: none, w: w, accumulate: false)
    let dw = duplicate(w)
    kernels.linearBackwardWeight(dw: dw, dy: View(rows: 0, columns: 5), x: none)
    expectSameBits(dw, w)
  }
}
