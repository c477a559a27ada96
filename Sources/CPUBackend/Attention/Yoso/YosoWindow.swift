/// Which keys each row of a sequence may use: `lower..<upper`, positions of the sequence.
enum YosoWindow {
  /// Everything up to the row itself.
  case causal
  /// The row's own chunk up to itself.
  case near(chunk: Int)
  /// All chunks before the row's own.
  case far(chunk: Int)

  func lower(_ row: Int) -> Int {
    switch self {
    case .causal, .far: 0
    case .near(let chunk): row / chunk * chunk
    }
  }

  func upper(_ row: Int) -> Int {
    switch self {
    case .causal, .near: row + 1
    case .far(let chunk): row / chunk * chunk
    }
  }

  /// Keys of a tile that some row of a panel may use, and those that all of them may.
  ///
  /// Both bounds grow with the row, so the first and the last row decide.
  func keys(
    firstRow: Int, rows: Int, tile: Range<Int>
  ) -> (some: Range<Int>, all: Range<Int>) {
    let last = firstRow + rows - 1
    let some = tile.clamped(to: lower(firstRow)..<max(lower(firstRow), upper(last)))
    // A panel with missing rows has lanes that may use nothing.
    let from = max(some.lowerBound, lower(last))
    let to = min(some.upperBound, upper(firstRow))
    guard rows == 16, from < to else { return (some, some.lowerBound..<some.lowerBound) }
    return (some, from..<to)
  }

  /// Clears the lanes of `[keys, 16]` that may not use their key.
  ///
  /// - Parameters:
  ///   - lanes: Of the key `keys.some.lowerBound`.
  ///   - rows: Rows in use; the other lanes are cleared everywhere.
  func mask(
    _ lanes: UnsafeMutablePointer<Float>, stride: Int, firstRow: Int, rows: Int,
    keys: (some: Range<Int>, all: Range<Int>)
  ) {
    if keys.some == keys.all { return }
    // As floats: comparisons of whole numbers compile to scalar code.
    var lowest = WideLanes(repeating: .infinity)
    var highest = WideLanes.zero
    for lane in 0..<rows {
      lowest[lane] = Float(lower(firstRow + lane))
      highest[lane] = Float(upper(firstRow + lane))
    }
    func clear(_ range: Range<Int>) {
      for key in range {
        let row = lanes + (key - keys.some.lowerBound) * stride
        let number = WideLanes(repeating: Float(key))
        store(
          loadWide(row).replacing(with: 0, where: number .< lowest)
            .replacing(with: 0, where: number .>= highest), row)
      }
    }
    clear(keys.some.lowerBound..<keys.all.lowerBound)
    clear(keys.all.upperBound..<keys.some.upperBound)
  }
}
