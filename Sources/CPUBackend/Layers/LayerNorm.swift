import Deterministic
import Host
import Tensor

/// Layer normalisation (Ba and others, 2016, arXiv 1607.06450).
///
///     y = hat · gain + bias,   hat = (x - mean(x)) · rstd,   rstd = 1 / sqrt(var(x) + epsilon)
///
/// Kept for the backward pass: `hat` and `rstd`. A row of `y` depends on its row of `x` alone.
struct LayerNorm: Sendable {
  let gain: View  // [1, C]
  let bias: View  // [1, C]
  let epsilon: Float

  /// `y [M, C]`, `hat [M, C]`, `rstd [1, M]`, `x [M, C]`; `hat` may be `x`.
  func forward(y: View, hat: View, rstd: View, x: View) {
    let columns = x.columns
    precondition(
      gain.count == columns && bias.count == columns && gain.isContiguous && bias.isContiguous,
      "gain \(gain.count) and bias \(bias.count) for \(columns) columns")
    parallelFor(x.rows, grain: rowGrain(columns: columns)) { range in
      let (gain, bias) = (gain.base, bias.base)
      for row in range {
        let from = x.base + row * x.stride
        let centred = hat.base + row * hat.stride
        let mean = sum(from, count: columns) / Float(columns)
        for column in 0..<columns { centred[column] = from[column] - mean }
        let squares = dot(centred, centred, count: columns)
        let scale = 1 / (squares / Float(columns) + epsilon).squareRoot()
        rstd.base[row] = scale
        let to = y.base + row * y.stride
        for column in 0..<columns {
          let value = centred[column] * scale
          centred[column] = value
          to[column] = value * gain[column] + bias[column]
        }
      }
    }
  }

  /// `dx = rstd · (g - mean(g) - hat · mean(g · hat))` with `g = dy · gain`; `dx` may be `dy`.
  ///
  /// `dGain += Σ dy · hat`, `dBias += Σ dy`: shares of fixed chunks of rows, added in order.
  func backward(dx: View, dGain: View, dBias: View, dy: View, hat: View, rstd: View) {
    let columns = dy.columns
    let grain = 2 * rowGrain(columns: columns)
    let chunks = (dy.rows + grain - 1) / grain
    guard chunks > 0, columns > 0 else { return }
    Scratch.lend(carving: { $0.takeView(rows: chunks, columns: 2 * columns) }) { shares in
      parallelFor(chunks) { chunk in
        let share = shares.base + 2 * chunk * columns
        share.update(repeating: 0, count: 2 * columns)
        for row in chunk * grain..<min(dy.rows, (chunk + 1) * grain) {
          backwardRow(
            dx.base + row * dx.stride, share, dy.base + row * dy.stride,
            hat.base + row * hat.stride, rstd: rstd.base[row], columns)
        }
      }
      for chunk in 0..<chunks {
        let share = shares.base + 2 * chunk * columns
        for column in 0..<columns {
          dGain.base[column] += share[column]
          dBias.base[column] += share[columns + column]
        }
      }
    }
  }

  private func backwardRow(
    _ dx: UnsafeMutablePointer<Float>, _ share: UnsafeMutablePointer<Float>,
    _ dy: UnsafePointer<Float>, _ hat: UnsafePointer<Float>, rstd: Float, _ columns: Int
  ) {
    let gain = gain.base
    for column in 0..<columns {
      share[column] += dy[column] * hat[column]
      share[columns + column] += dy[column]
      dx[column] = dy[column] * gain[column]
    }
    let mean = sum(dx, count: columns) / Float(columns)
    let pull = dot(dx, hat, count: columns) / Float(columns)
    for column in 0..<columns {
      dx[column] = rstd * (dx[column] - mean - hat[column] * pull)
    }
  }
}

/// `Σ a` with four vector accumulators, in an order that depends on the count alone.
private func sum(_ a: UnsafePointer<Float>, count: Int) -> Float {
  var s0 = Lanes.zero
  var s1 = Lanes.zero
  var s2 = Lanes.zero
  var s3 = Lanes.zero
  var index = 0
  while index + 32 <= count {
    s0 += load(a + index)
    s1 += load(a + index + 8)
    s2 += load(a + index + 16)
    s3 += load(a + index + 24)
    index += 32
  }
  var total = horizontalSum((s0 + s1) + (s2 + s3))
  while index < count {
    total += a[index]
    index += 1
  }
  return total
}
