import Host
import Tensor

/// Pooling of the rows of a region into one, per channel.
///
///     max:  y[c] = max_j x[j, c], of equal rows the first;   dx[winner[c], c] += dy[c]
///     mean: y[c] = (Σ_j x[j, c]) / n in the order of j;      dx[j, c] += dy[c] / n
///
/// Rows are packed: padded with zeros to whole panels, which pool to zeros.
enum CombinerPooling {
  /// Pools `count` rows.
  ///
  /// - Parameter winners: Row that gave each maximum, as bits of an `Int32`; nil if not needed.
  static func forward(
    _ result: UnsafeMutablePointer<Float>, winners: UnsafeMutablePointer<Float>? = nil,
    _ rows: UnsafePointer<Float>, stride: Int, count: Int, width: Int,
    _ pooling: CombinerShape.Pooling
  ) {
    var column = 0
    while column < width {
      let source = rows + column
      switch pooling {
      case .max:
        var best = load(source)
        var winner = IntLanes.zero
        for row in 1..<max(count, 1) {
          let other = load(source + row * stride)
          let isLarger = other .> best
          best.replace(with: other, where: isLarger)
          winner.replace(with: Int32(truncatingIfNeeded: row), where: isLarger)
        }
        store(best, result + column)
        if let winners { store(unsafeBitCast(winner, to: Lanes.self), winners + column) }
      case .mean:
        var sum = load(source)
        for row in 1..<max(count, 1) { sum += load(source + row * stride) }
        store(sum * (1 / Float(count)), result + column)
      }
      column += 8
    }
  }

  /// Adds the gradient of a pooled row to the rows it came from.
  static func backward(
    _ dRows: UnsafeMutablePointer<Float>, stride: Int, count: Int, width: Int,
    _ gradient: UnsafePointer<Float>, winners: UnsafePointer<Float>,
    _ pooling: CombinerShape.Pooling
  ) {
    switch pooling {
    case .max:
      for column in 0..<width {
        let row = Int(Int32(bitPattern: winners[column].bitPattern))
        dRows[row * stride + column] += gradient[column]
      }
    case .mean:
      let share = 1 / Float(count)
      for row in 0..<count {
        let to = dRows + row * stride
        var column = 0
        while column < width {
          store(load(to + column) + load(gradient + column) * share, to + column)
          column += 8
        }
      }
    }
  }

  /// Adds one more row to a running pool: the steps of `forward`, row after row.
  static func append(
    _ pool: UnsafeMutablePointer<Float>, _ row: UnsafePointer<Float>, isFirst: Bool, width: Int,
    _ pooling: CombinerShape.Pooling
  ) {
    // Compared once: the enumeration is of another module, and a comparison is a call.
    let isMaximum = pooling == .max
    var column = 0
    while column < width {
      let other = load(row + column)
      let old = load(pool + column)
      let isLarger = other .> old
      let joined = isMaximum ? old.replacing(with: other, where: isLarger) : old + other
      store(isFirst ? other : joined, pool + column)
      column += 8
    }
  }

  /// Ends a running pool of `count` rows.
  static func finish(
    _ pool: UnsafeMutablePointer<Float>, count: Int, width: Int, _ pooling: CombinerShape.Pooling
  ) {
    if pooling == .max { return }
    let share = 1 / Float(count)
    var column = 0
    while column < width {
      store(load(pool + column) * share, pool + column)
      column += 8
    }
  }
  /// Pools two pools of equally many rows; of equal channels the left one is taken.
  static func join(
    _ result: UnsafeMutablePointer<Float>, _ left: UnsafePointer<Float>,
    _ right: UnsafePointer<Float>, width: Int, _ pooling: CombinerShape.Pooling
  ) {
    // Compared once: the enumeration is of another module, and a comparison is a call.
    let isMaximum = pooling == .max
    var column = 0
    while column < width {
      let (a, b) = (load(left + column), load(right + column))
      let isLarger = b .> a
      let joined = isMaximum ? a.replacing(with: b, where: isLarger) : (a + b) * 0.5
      store(joined, result + column)
      column += 8
    }
  }

  /// Adds the gradient of `join` to its operands'.
  static func joinBackward(
    _ dLeft: UnsafeMutablePointer<Float>, _ dRight: UnsafeMutablePointer<Float>,
    _ gradient: UnsafePointer<Float>, _ left: UnsafePointer<Float>,
    _ right: UnsafePointer<Float>, width: Int, _ pooling: CombinerShape.Pooling
  ) {
    // Compared once: the enumeration is of another module, and a comparison is a call.
    let isMaximum = pooling == .max
    var column = 0
    while column < width {
      let g = load(gradient + column)
      let isLarger = load(right + column) .> load(left + column)
      let toLeft = isMaximum ? g.replacing(with: 0, where: isLarger) : g * 0.5
      store(load(dLeft + column) + toLeft, dLeft + column)
      store(load(dRight + column) + (g - toLeft), dRight + column)
      column += 8
    }
  }
}

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
      var y = loadWide(rows.base + column)
      store(y, pools.base + column)
      var from = rows.base + column
      var to = pools.base + column
      for row in 1..<max(count, 1) {
        from += rows.stride
        to += pools.stride
        let x = loadWide(from)
        switch pooling {
        case .max:
          y = maximum(y, x)
          store(y, to)
        case .mean:
          y += x
          let share = 1 / Float(row + 1)
          store(y * share, to)
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
