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
  /// - Parameter winners: Row that gave each maximum, as bits of an `Int32`; nil if nobody asks.
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

  /// Takes one more row into a running pool: the steps of `forward`, row after row.
  static func append(
    _ pool: UnsafeMutablePointer<Float>, _ row: UnsafePointer<Float>, isFirst: Bool, width: Int,
    _ pooling: CombinerShape.Pooling
  ) {
    var column = 0
    while column < width {
      let other = load(row + column)
      let old = load(pool + column)
      let isLarger = other .> old
      let joined = pooling == .max ? old.replacing(with: other, where: isLarger) : old + other
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
    var column = 0
    while column < width {
      let (a, b) = (load(left + column), load(right + column))
      let isLarger = b .> a
      let joined = pooling == .max ? a.replacing(with: b, where: isLarger) : (a + b) * 0.5
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
    var column = 0
    while column < width {
      let g = load(gradient + column)
      let isLarger = load(right + column) .> load(left + column)
      let toLeft = pooling == .max ? g.replacing(with: 0, where: isLarger) : g * 0.5
      store(load(dLeft + column) + toLeft, dLeft + column)
      store(load(dRight + column) + (g - toLeft), dRight + column)
      column += 8
    }
  }
}
