import CPUBackend
import Deterministic
import Host
import Tensor
import TestSupport
import Testing

private let kernels = CPUKernels()

/// The mask of one stream as ones and zeros.
private func mask(
  rows: Int, columns: Int, probability: Float, seed: UInt64, rowOffset: Int = 0
) -> [[Bool]] {
  let x = filledView(rows: rows, columns: columns, value: 1)
  kernels.dropout(
    x: x, probability: probability, random: CounterRandom(seed: seed), rowOffset: rowOffset)
  return (0..<rows).map { row in (0..<columns).map { x[row, $0] != 0 } }
}

@Suite struct DropoutTests {
  @Test func zeroProbabilityChangesNothing() {
    let x = randomView(rows: 5, columns: 13, seed: 1)
    let y = duplicate(x)
    kernels.dropout(x: y, probability: 0, random: CounterRandom(seed: 2), rowOffset: 0)
    expectSameBits(x, y)
  }

  @Test(arguments: [(1, 1, 0), (3, 7, 2), (5, 8, 0), (20, 1033, 5)])
  func keepsOrZeroesAndScales(rows: Int, columns: Int, padding: Int) {
    let x = randomView(rows: rows, columns: columns, seed: 1, padding: padding)
    expectThreadIndependence {
      let y = duplicate(x)
      kernels.dropout(x: y, probability: 0.25, random: CounterRandom(seed: 2), rowOffset: 9)
      #expect(gapsUntouched(y))
      for (before, after) in zip(x.elements, y.elements) {
        #expect(after == 0 || after == before * (1 / 0.75))
      }
      return [y]
    }
  }

  /// Row r of a batch that starts at row s has the mask of absolute row s + r.
  @Test func masksFollowAbsoluteRows() {
    let whole = mask(rows: 40, columns: 77, probability: 0.5, seed: 3)
    #expect(
      mask(rows: 10, columns: 77, probability: 0.5, seed: 3, rowOffset: 25) == [_](whole[25..<35]))
    #expect(mask(rows: 40, columns: 77, probability: 0.5, seed: 4) != whole)
    // A narrower matrix is cut out of the same mask.
    #expect(
      mask(rows: 40, columns: 50, probability: 0.5, seed: 3) == whole.map { [_]($0[..<50]) })
  }

  @Test(arguments: [Float(0.1), 0.5, 0.9])
  func ratesMatchTheProbability(probability: Float) {
    let rows = 400
    let columns = 500
    let kept = mask(rows: rows, columns: columns, probability: probability, seed: 5)
    let keep = 1 - Double(probability)
    let deviation = (keep * (1 - keep)).squareRoot()
    let total = kept.reduce(0) { $0 + $1.count(where: \.self) }
    let all = Double(rows * columns)
    #expect(abs(Double(total) - keep * all) < 4.5 * deviation * all.squareRoot())
    // Every row and every column, allowing for 900 of them.
    for row in kept {
      let count = Double(row.count(where: \.self))
      #expect(abs(count - keep * Double(columns)) < 5 * deviation * Double(columns).squareRoot())
    }
    for column in 0..<columns {
      let count = Double(kept.count { $0[column] })
      #expect(abs(count - keep * Double(rows)) < 5 * deviation * Double(rows).squareRoot())
    }
  }

  /// Masks at distance (row, column), and of neighbouring streams, agree as often as chance.
  @Test func masksAreIndependent() {
    let a = mask(rows: 300, columns: 300, probability: 0.5, seed: 6)
    let b = mask(rows: 300, columns: 300, probability: 0.5, seed: 7)
    let shifts = [(a, 1, 0), (a, 0, 1), (a, 0, 8), (a, 1, 1), (a, 2, 0), (a, 64, 0), (b, 0, 0)]
    for (other, down, right) in shifts {
      var agree = 0
      var all = 0
      for row in 0..<300 - down {
        for column in 0..<300 - right {
          agree += a[row][column] == other[row + down][column + right] ? 1 : 0
          all += 1
        }
      }
      let excess = abs(Double(agree) - Double(all) / 2)
      #expect(excess < 4.5 * 0.5 * Double(all).squareRoot(), "shift \(down), \(right)")
    }
  }
}
