import Deterministic
import Host
package import Tensor

/// Root-mean-square normalisation (Zhang and Sennrich, 2019, arXiv 1910.07467).
///
///     y = x · rstd · gain,    rstd = 1 / sqrt(mean(x²) + epsilon)
///
/// Kept for the backward pass: `x` and `rstd`. `dx` and `dGain` accumulate.
extension CPUKernels {
  /// Normalises every row of `x [N, C]` into `y [N, C]`; `gain [1, C]`, `rstd [1, N]`.
  package func rmsNormForward(y: View, rstd: View, x: View, gain: View, epsilon: Float) {
    precondition(
      y.rows == x.rows && y.columns == x.columns && gain.count == x.columns
        && gain.isContiguous && rstd.count == x.rows && rstd.isContiguous,
      "y [\(y.rows), \(y.columns)], x [\(x.rows), \(x.columns)], gain \(gain.count)")
    parallelFor(x.rows, grain: rowGrain(columns: x.columns)) { range in
      let columns = x.columns
      for n in range {
        let row = x.base + n * x.stride
        let squares = dot(row, row, count: columns)
        let scale = 1 / (squares / Float(columns) + epsilon).squareRoot()
        rstd.base[n] = scale
        scaledProduct(y.base + n * y.stride, row, gain.base, scale: scale, count: columns)
      }
    }
  }

  /// `dx += rstd · (gain · dy - x · rstd² · mean(gain · dy · x))`, `dGain += Σ_n dy · x · rstd`.
  package func rmsNormBackward(
    dx: View, dGain: View, dy: View, x: View, gain: View, rstd: View
  ) {
    precondition(
      dx.rows == x.rows && dx.columns == x.columns && dy.rows == x.rows
        && dy.columns == x.columns && gain.count == x.columns && gain.isContiguous
        && dGain.count == x.columns && dGain.isContiguous && rstd.count == x.rows
        && rstd.isContiguous,
      "dx [\(dx.rows), \(dx.columns)], x [\(x.rows), \(x.columns)], gain \(gain.count)")
    guard x.count > 0 else { return }
    let columns = x.columns
    let grain = 2 * rowGrain(columns: columns)
    let chunks = (x.rows + grain - 1) / grain
    // Every chunk of rows sums its own share of the gain's gradient; the shares are added in order.
    Scratch.lend(carving: { $0.takeView(rows: chunks, columns: columns) }) { shares in
      parallelFor(chunks) { chunk in
        let share = shares.base + chunk * columns
        share.update(repeating: 0, count: columns)
        for n in chunk * grain..<min(x.rows, (chunk + 1) * grain) {
          backwardRow(
            dx: dx.base + n * dx.stride, share: share, dy: dy.base + n * dy.stride,
            x: x.base + n * x.stride, gain: gain.base, rstd: rstd.base[n], count: columns)
        }
      }
      for chunk in 0..<chunks {
        addRow(dGain.base, shares.base + chunk * columns, count: columns)
      }
    }
  }
}

/// `y = a · scale · b`, element by element.
@inline(__always)
private func scaledProduct(
  _ y: UnsafeMutablePointer<Float>, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
  scale: Float, count: Int
) {
  let lanes = Lanes(repeating: scale)
  let whole = count & ~7
  var index = 0
  while index < whole {
    store(load(a + index) * lanes * load(b + index), y + index)
    index += 8
  }
  while index < count {
    y[index] = a[index] * scale * b[index]
    index += 1
  }
}

@inline(__always)
private func backwardRow(
  dx: UnsafeMutablePointer<Float>, share: UnsafeMutablePointer<Float>, dy: UnsafePointer<Float>,
  x: UnsafePointer<Float>, gain: UnsafePointer<Float>, rstd: Float, count: Int
) {
  let projection = tripleDot(dy, x, gain, count: count)
  let pull = -projection * rstd * rstd * rstd / Float(count)
  let scale = Lanes(repeating: rstd)
  let pullLanes = Lanes(repeating: pull)
  let whole = count & ~7
  var index = 0
  while index < whole {
    let value = load(x + index)
    let upstream = load(dy + index) * scale
    store(
      load(dx + index).addingProduct(upstream, load(gain + index))
        .addingProduct(value, pullLanes), dx + index)
    store(load(share + index).addingProduct(upstream, value), share + index)
    index += 8
  }
  while index < count {
    let upstream = dy[index] * rstd
    dx[index] += upstream * gain[index] + x[index] * pull
    share[index] += upstream * x[index]
    index += 1
  }
}

/// `Σ a·b` with four vector accumulators, in an order that depends on the count alone.
@inline(__always)
func dot(_ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, count: Int) -> Float {
  var s0 = Lanes.zero
  var s1 = Lanes.zero
  var s2 = Lanes.zero
  var s3 = Lanes.zero
  var index = 0
  while index + 32 <= count {
    s0 = s0.addingProduct(load(a + index), load(b + index))
    s1 = s1.addingProduct(load(a + index + 8), load(b + index + 8))
    s2 = s2.addingProduct(load(a + index + 16), load(b + index + 16))
    s3 = s3.addingProduct(load(a + index + 24), load(b + index + 24))
    index += 32
  }
  while index + 8 <= count {
    s0 = s0.addingProduct(load(a + index), load(b + index))
    index += 8
  }
  var sum = horizontalSum((s0 + s1) + (s2 + s3))
  while index < count {
    sum += a[index] * b[index]
    index += 1
  }
  return sum
}

/// `Σ a·b·c` with two vector accumulators.
@inline(__always)
private func tripleDot(
  _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>, _ c: UnsafePointer<Float>, count: Int
) -> Float {
  var s0 = Lanes.zero
  var s1 = Lanes.zero
  var index = 0
  while index + 16 <= count {
    s0 = s0.addingProduct(load(a + index) * load(b + index), load(c + index))
    s1 = s1.addingProduct(load(a + index + 8) * load(b + index + 8), load(c + index + 8))
    index += 16
  }
  var sum = horizontalSum(s0 + s1)
  while index < count {
    sum += a[index] * b[index] * c[index]
    index += 1
  }
  return sum
}
