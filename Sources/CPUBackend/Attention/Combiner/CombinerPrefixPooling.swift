import Tensor

/// Pooling of every prefix of a line of rows, per channel.
///
///     max:  y[r, c] = max_{j <= r} x[j, c]             dx[winner(r, c), c] += dy[r, c]
///     mean: y[r, c] = (Σ_{j <= r} x[j, c]) / (r + 1)   dx[j, c] += Σ_{r >= j} dy[r, c] / (r + 1)
///
/// The prefixes that a row wins follow one another, so that one sum carried from the end gives
/// all its gradients. Rows are packed, 16 channels at a time.
enum CombinerPrefixPooling {
  /// Rows of a line, `stride` floats apart.
  struct Line {
    let base: UnsafeMutablePointer<Float>
    let stride: Int
  }

  static func forward(
    _ pools: Line, _ rows: Line, count: Int, width: Int, _ pooling: CombinerShape.Pooling
  ) {
    for column in stride(from: 0, to: width, by: 16) {
      var (y0, y1) = loadPair(rows.base + column)
      storePair(y0, y1, pools.base + column)
      var from = rows.base + column
      var to = pools.base + column
      for row in 1..<max(count, 1) {
        from += rows.stride
        to += pools.stride
        let (x0, x1) = loadPair(from)
        switch pooling {
        case .max:
          (y0, y1) = (maximum(y0, x0), maximum(y1, x1))
          storePair(y0, y1, to)
        case .mean:
          (y0, y1) = (y0 + x0, y1 + x1)
          let share = 1 / Float(row + 1)
          storePair(y0 * share, y1 * share, to)
        }
      }
    }
  }

  /// Adds to the gradients of the rows.
  ///
  /// - Parameter lateTies: Of equal rows the last takes the gradient, not the first: for lines
  ///   that run against the positions.
  static func backward(
    _ dRows: Line, _ dPools: Line, _ rows: Line, _ pools: Line, count: Int, width: Int,
    _ pooling: CombinerShape.Pooling, lateTies: Bool
  ) {
    for column in stride(from: 0, to: width, by: 8) {
      var carried = Lanes.zero
      for row in (0..<count).reversed() {
        let gradient = load(dPools.base + row * dPools.stride + column)
        let to = dRows.base + row * dRows.stride + column
        switch pooling {
        case .mean:
          carried += gradient * (1 / Float(row + 1))
          store(load(to) + carried, to)
        case .max:
          carried += gradient
          if row == 0 {
            store(load(to) + carried, to)
            continue
          }
          let x = load(rows.base + row * rows.stride + column)
          let before = load(pools.base + (row - 1) * pools.stride + column)
          let isWinner = lateTies ? x .>= before : x .> before
          store(load(to) + Lanes.zero.replacing(with: carried, where: isWinner), to)
          carried.replace(with: 0, where: isWinner)
        }
      }
    }
  }
}
