import CPUBackend
import Host
import OracleBackend
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels()

@Suite struct RotaryTests {
  static let shapes: [(rows: Int, heads: Int, headWidth: Int, padding: Int)] = [
    (1, 1, 2, 0), (3, 2, 6, 0), (5, 1, 16, 5), (7, 3, 22, 0), (90, 4, 64, 13), (33, 8, 128, 0),
  ]

  @Test(arguments: shapes)
  func matchesTwin(rows: Int, heads: Int, headWidth: Int, padding: Int) {
    let x = randomView(rows: rows, columns: heads * headWidth, seed: 1, padding: padding)
    let positions = randomIds(rows, below: 3000, seed: 2)
    for inverse in [false, true] {
      let expected = ReferenceKernels.rotary(
        x: Matrix(x), positions: positions, headWidth: headWidth, theta: 10_000, inverse: inverse)
      expectThreadIndependence {
        let y = duplicate(x)
        kernels.rotary(
          x: y, positions: positions, headWidth: headWidth, theta: 10_000, inverse: inverse)
        expectClose(y, expected, relative: 1e-6, absolute: 1e-6)
        #expect(gapsUntouched(y))
        return [y]
      }
    }
  }

  @Test func inverseIsTheGradient() {
    let x = Matrix(rows: 4, columns: 24, seed: 1)
    let dy = randomView(rows: 4, columns: 24, seed: 2)
    let positions: [Int32] = [0, 5, 17, 200]
    let dx = duplicate(dy)
    kernels.rotary(x: dx, positions: positions, headWidth: 12, theta: 500, inverse: true)
    expectGradient(dx, at: x, upstream: Matrix(dy)) {
      ReferenceKernels.rotary(
        x: $0, positions: positions, headWidth: 12, theta: 500, inverse: false)
    }
  }

  @Test func positionZeroIsTheIdentity() {
    let x = randomView(rows: 3, columns: 32, seed: 1)
    let y = duplicate(x)
    kernels.rotary(x: y, positions: [0, 0, 0], headWidth: 16, theta: 10_000, inverse: false)
    #expect(x.elements == y.elements)
  }

  /// A row must not change when the table behind it was grown by a longer sequence.
  @Test func growingTheTableKeepsRows() {
    let theta = 7_777.0
    func rotated(_ positions: [Int32]) -> View {
      let x = randomView(rows: positions.count, columns: 32, seed: 1)
      kernels.rotary(x: x, positions: positions, headWidth: 32, theta: theta, inverse: false)
      return x
    }
    let before = rotated([3, 9])
    _ = rotated([10_000])
    expectSameBits(before, rotated([3, 9]))
    expectSameBits(before, rotated([3, 9, 9_999]).rows(0..<2))
  }
}
