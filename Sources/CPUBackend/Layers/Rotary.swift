import Deterministic
import Foundation
import Host
import Synchronization
package import Tensor

/// Rotary position encoding (Su et al., 2021, arXiv 2104.09864), two-halves convention of Llama.
///
/// Pair `j` of a head of width D is `(x[j], x[j + D/2])`, turned by the angle `p · theta^(-2j/D)`
/// at position p. The backward pass turns back.
extension CPUKernels {
  /// Rotates every head of `x [N, H·D]` in place by the position of its row.
  package func rotary(
    x: View, positions: Indices, headWidth: Int, theta: Double, inverse: Bool
  ) {
    let positions = positions.numbers
    precondition(
      positions.count == x.rows && headWidth > 0 && headWidth % 2 == 0
        && x.columns % headWidth == 0 && x.bandWidth % headWidth == 0,
      "x [\(x.rows), \(x.columns)], \(positions.count) positions, head width \(headWidth)")
    guard let last = positions.max() else { return }
    precondition(positions.allSatisfy { $0 >= 0 }, "negative position")
    let table = RotaryTable.shared(headWidth: headWidth, theta: theta, positions: Int(last) + 1)
    let half = headWidth / 2
    parallelFor(x.rows, grain: rowGrain(columns: x.columns)) { range in
      for head in 0..<x.columns / headWidth {
        let column = x.start(ofColumn: head * headWidth)
        for n in range {
          let cosines = table.base + Int(positions[n]) * headWidth
          let first = column + n * x.stride
          rotate(
            first, first + half, cosines: cosines, sines: cosines + half, inverse: inverse,
            count: half)
        }
      }
    }
  }
}

/// `(a, b) = (a cos - b sin, b cos + a sin)` for `count` pairs; the inverse negates the sine.
@inline(__always)
private func rotate(
  _ a: UnsafeMutablePointer<Float>, _ b: UnsafeMutablePointer<Float>,
  cosines: UnsafePointer<Float>, sines: UnsafePointer<Float>, inverse: Bool, count: Int
) {
  let sign: Float = inverse ? -1 : 1
  let whole = count & ~7
  var index = 0
  while index < whole {
    let first = load(a + index)
    let second = load(b + index)
    let cosine = load(cosines + index)
    let sine = load(sines + index) * sign
    store(first * cosine - second * sine, a + index)
    store(second * cosine + first * sine, b + index)
    index += 8
  }
  while index < count {
    let first = a[index]
    let second = b[index]
    let sine = sines[index] * sign
    a[index] = first * cosines[index] - second * sine
    b[index] = second * cosines[index] + first * sine
    index += 1
  }
}

/// Cosines and sines of every position, `[positions, D]`: D/2 cosines, then D/2 sines.
private enum RotaryTable {
  private struct Key: Hashable {
    let headWidth: Int
    let theta: Double
  }

  private static let tables = Mutex<[Key: View]>([:])

  /// The table of a head width and base, grown to hold at least `positions` rows.
  ///
  /// Angles are computed in Double and rounded once, so a row never depends on the table's size.
  static func shared(headWidth: Int, theta: Double, positions: Int) -> View {
    tables.withLock { tables in
      let key = Key(headWidth: headWidth, theta: theta)
      let known = tables[key]
      if let known, known.rows >= positions { return known }
      let table = View(rows: max(positions, 2 * (known?.rows ?? 256)), columns: headWidth)
      let half = headWidth / 2
      for j in 0..<half {
        let frequency = pow(theta, -2 * Double(j) / Double(headWidth))
        for position in 0..<table.rows {
          let angle = Double(position) * frequency
          table.base[position * headWidth + j] = Float(cos(angle))
          table.base[position * headWidth + half + j] = Float(sin(angle))
        }
      }
      tables[key] = table
      return table
    }
  }
}
