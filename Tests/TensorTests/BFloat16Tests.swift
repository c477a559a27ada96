import CPUBackend
import Deterministic
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels(.bfloat16)

/// Products in bfloat16, against sums in Float64 of operands that are rounded by a definition of their own.
@Suite struct BFloat16Tests {
  /// The nearest bfloat16 by looking at both neighbours.
  private static func rounded(_ x: Float) -> Float {
    let below = Float(bitPattern: x.bitPattern & 0xFFFF_0000)
    let above = Float(bitPattern: (x.bitPattern & 0xFFFF_0000) &+ 0x1_0000)
    let (down, up) = (abs(Double(x) - Double(below)), abs(Double(above) - Double(x)))
    if down != up { return down < up ? below : above }
    return below.bitPattern & 0x1_0000 == 0 ? below : above
  }

  private static func rounded(_ view: View) -> View {
    let copy = duplicate(view)
    for row in 0..<copy.rows {
      for column in 0..<copy.columns { copy[row, column] = rounded(copy[row, column]) }
    }
    return copy
  }

  @Test(arguments: LinearTests.shapes)
  func productsAreThoseOfRoundedOperands(rows: Int, inputs: Int, outputs: Int, padding: Int) {
    let x = randomView(rows: rows, columns: inputs, seed: 1, padding: padding)
    let w = randomView(rows: outputs, columns: inputs, seed: 2, padding: padding)
    let dy = randomView(rows: rows, columns: outputs, seed: 3, padding: padding)
    let (roundX, roundW) = (Matrix(Self.rounded(x)), Matrix(Self.rounded(w)))
    let roundDY = Matrix(Self.rounded(dy))
    func tolerance(_ terms: Int) -> Double { 1e-6 * Double(terms).squareRoot() * 4 }
    expectThreadIndependence {
      let y = filledView(rows: rows, columns: outputs, value: .nan, padding: padding)
      kernels.linearForward(y: y, x: x, w: w, accumulate: false)
      expectClose(
        y, ReferenceKernels.linear(x: roundX, w: roundW), absolute: tolerance(inputs), "y")
      let dx = filledView(rows: rows, columns: inputs, value: .nan, padding: padding)
      kernels.linearBackwardInput(dx: dx, dy: dy, w: w, accumulate: false)
      expectClose(
        dx, ReferenceKernels.linear(x: roundDY, w: roundW.transposed),
        absolute: tolerance(outputs), "dx")
      let dw = filledView(rows: outputs, columns: inputs, value: 0, padding: padding)
      kernels.linearBackwardWeight(dw: dw, dy: dy, x: x)
      expectClose(
        dw, ReferenceKernels.linear(x: roundDY.transposed, w: roundX.transposed),
        absolute: tolerance(rows), "dw")
      #expect(gapsUntouched(y) && gapsUntouched(dx) && gapsUntouched(dw))
      return [y, dx, dw]
    }
  }

  /// Ties go to the even neighbour, infinity stays, what is no number stays none.
  @Test func rounding() {
    let numbers: [Float] = [
      1, 0x1.01p0, 0x1.03p0, 0x1.00FFp0, -0x1.05p0, 0x1.FFp127, 0x1p-126, 0x1.FCp-127, 0x1p-140,
      .infinity, -.infinity, 0x1.02p0,
    ]
    let expected: [Float] = [
      1, 1, 0x1.04p0, 0x1p0, -0x1.04p0, .infinity, 0x1p-126, 0, 0, .infinity, -.infinity,
      0x1.02p0,
    ]
    let x = View(rows: numbers.count, columns: 1)
    for (row, number) in numbers.enumerated() { x[row, 0] = number }
    let one = filledView(rows: 1, columns: 1, value: 1)
    let y = filledView(rows: numbers.count, columns: 1, value: 0)
    kernels.linearForward(y: y, x: x, w: one, accumulate: false)
    for (row, value) in expected.enumerated() { #expect(y[row, 0] == value, "\(numbers[row])") }
    for payload in [UInt32(0x7F80_0001), 0x7FFF_FFFF, 0xFFC0_0000] {
      x[0, 0] = Float(bitPattern: payload)
      kernels.linearForward(y: y, x: x, w: one, accumulate: false)
      #expect(y[0, 0].isNaN)
    }
  }

  @Test func rowsDoNotDependOnTheBatch() {
    let x = randomView(rows: 150, columns: 97, seed: 1)
    let w = randomView(rows: 70, columns: 97, seed: 2)
    let whole = filledView(rows: 150, columns: 70, value: 0)
    kernels.linearForward(y: whole, x: x, w: w, accumulate: false)
    for (first, count) in [(0, 1), (149, 1), (7, 5), (50, 48), (1, 100)] {
      let y = filledView(rows: count, columns: 70, value: 0)
      kernels.linearForward(y: y, x: x.rows(first..<first + count), w: w, accumulate: false)
      expectSameBits(y, whole.rows(first..<first + count), "rows \(first)+\(count)")
    }
  }
}
