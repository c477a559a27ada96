import CPUBackend
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels()

@Suite struct RMSNormTests {
  static let shapes: [(rows: Int, columns: Int, padding: Int)] = [
    (1, 1, 0), (3, 7, 0), (5, 8, 5), (4, 33, 0), (70, 50, 3), (600, 96, 0), (130, 515, 9),
  ]

  @Test(arguments: shapes)
  func forwardMatchesTwin(rows: Int, columns: Int, padding: Int) {
    let x = randomView(rows: rows, columns: columns, seed: 1, deviation: 3, padding: padding)
    let gain = randomView(rows: 1, columns: columns, seed: 2)
    let expected = ReferenceKernels.rmsNorm(x: Matrix(x), gain: Matrix(gain), epsilon: 1e-5)
    expectThreadIndependence {
      let y = filledView(rows: rows, columns: columns, value: .nan, padding: padding)
      let rstd = View(rows: 1, columns: rows)
      kernels.rmsNormForward(y: y, rstd: rstd, x: x, gain: gain, epsilon: 1e-5)
      expectClose(y, expected, relative: 2e-6, absolute: 1e-6)
      #expect(gapsUntouched(y))
      return [y, rstd]
    }
  }

  @Test(arguments: shapes)
  func backwardMatchesDifferencesAndAccumulates(rows: Int, columns: Int, padding: Int) {
    let x = randomView(rows: rows, columns: columns, seed: 1, padding: padding)
    let gain = randomView(rows: 1, columns: columns, seed: 2)
    let dy = randomView(rows: rows, columns: columns, seed: 3, padding: padding)
    let y = View(rows: rows, columns: columns)
    let rstd = View(rows: 1, columns: rows)
    kernels.rmsNormForward(y: y, rstd: rstd, x: x, gain: gain, epsilon: 1e-5)
    let dx = filledView(rows: rows, columns: columns, value: 0, padding: padding)
    let dGain = filledView(rows: 1, columns: columns, value: 0)
    kernels.rmsNormBackward(dx: dx, dGain: dGain, dy: dy, x: x, gain: gain, rstd: rstd)
    #expect(gapsUntouched(dx))

    let few = 0..<min(rows, 3)
    expectGradient(
      dx.rows(few), at: Matrix(x.rows(few)), upstream: Matrix(dy.rows(few)), samples: 60, "dx"
    ) { ReferenceKernels.rmsNorm(x: $0, gain: Matrix(gain), epsilon: 1e-5) }
    let wideX = Matrix(x)
    expectGradient(
      dGain, at: Matrix(gain), upstream: Matrix(dy), samples: 12, "dGain"
    ) { ReferenceKernels.rmsNorm(x: wideX, gain: $0, epsilon: 1e-5) }

    let start = randomView(rows: rows, columns: columns, seed: 4, padding: padding)
    let gainStart = randomView(rows: 1, columns: columns, seed: 5)
    let wantedX = Matrix(start) + Matrix(dx)
    let wantedGain = Matrix(gainStart) + Matrix(dGain)
    expectThreadIndependence {
      let dx = duplicate(start)
      let dGain = duplicate(gainStart)
      kernels.rmsNormBackward(dx: dx, dGain: dGain, dy: dy, x: x, gain: gain, rstd: rstd)
      expectClose(dx, wantedX, relative: 1e-5, absolute: 1e-5, "dx accumulates")
      expectClose(dGain, wantedGain, relative: 1e-5, absolute: 1e-5, "dGain accumulates")
      return [dx, dGain]
    }
  }

  @Test func rowOfZerosStaysZero() {
    let x = View(rows: 2, columns: 9)
    let y = filledView(rows: 2, columns: 9, value: 1)
    let rstd = View(rows: 1, columns: 2)
    kernels.rmsNormForward(
      y: y, rstd: rstd, x: x, gain: filledView(rows: 1, columns: 9, value: 1), epsilon: 1e-6)
    #expect(y.elements.allSatisfy { $0 == 0 })
    #expect(abs(rstd[0, 0] - 1000) < 0.01)
  }

  @Test func rowsDoNotDependOnTheirPlace() {
    let x = randomView(rows: 50, columns: 37, seed: 1)
    let gain = randomView(rows: 1, columns: 37, seed: 2)
    let y = View(rows: 50, columns: 37)
    kernels.rmsNormForward(y: y, rstd: View(rows: 1, columns: 50), x: x, gain: gain, epsilon: 1e-5)
    for row in [0, 13, 49] {
      let alone = View(rows: 1, columns: 37)
      kernels.rmsNormForward(
        y: alone, rstd: View(rows: 1, columns: 1), x: x.rows(row..<row + 1), gain: gain,
        epsilon: 1e-5)
      expectSameBits(alone, y.rows(row..<row + 1), "row \(row)")
    }
  }
}
