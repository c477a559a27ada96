/// Positions of one sequence as rows of `width`, the last one perhaps shorter.
///
/// Position i stands in row i / width and column i mod width. A row is summarised once a position
/// follows it: the `looked` rows; a column of it is then complete as well.
struct CombinerGrid: Sendable {
  let length: Int
  let width: Int
  let rows: Int
  /// Rows that some later position looks at, all complete.
  let looked: Int

  init(length: Int, width: Int) {
    self.length = length
    self.width = width
    rows = (length + width - 1) / width
    looked = max(length - 1, 0) / width
  }

  /// The grid of the longest sequence; a row is never wider than that, which changes nothing.
  init(longest: Int, segment: Int) {
    self.init(length: longest, width: max(1, min(segment, longest)))
  }

  /// Positions of a row.
  func count(row: Int) -> Int { min(width, length - row * width) }

  /// Queries of a column that have rows above: all of its positions but the first.
  func readers(column: Int) -> Int { max(0, (length - column + width - 1) / width - 1) }
}

/// Keys and values that columns meet in the rows above, `[columns, rows, ·]`, one column together.
struct CombinerColumnSlots {
  let shape: HeadShape
  let grid: CombinerGrid
  let keys: UnsafeMutablePointer<Float>
  let values: UnsafeMutablePointer<Float>

  static func floats(_ shape: HeadShape, _ grid: CombinerGrid) -> Int {
    grid.looked * grid.width * (shape.keyStride + shape.valueStride)
  }

  /// Slots of a grid, in memory for `longest`.
  init(
    _ shape: HeadShape, _ grid: CombinerGrid, keys: UnsafeMutablePointer<Float>,
    values: UnsafeMutablePointer<Float>
  ) {
    self.shape = shape
    self.grid = grid
    self.keys = keys
    self.values = values
  }

  init(_ shape: HeadShape, _ longest: CombinerGrid, _ scratch: inout Scratch) {
    self.init(
      shape, longest, keys: scratch.take(longest.looked * longest.width * shape.keyStride),
      values: scratch.take(longest.looked * longest.width * shape.valueStride))
  }

  /// The same memory for another length.
  func with(_ grid: CombinerGrid) -> CombinerColumnSlots {
    CombinerColumnSlots(shape, grid, keys: keys, values: values)
  }

  func key(column: Int, row: Int) -> UnsafeMutablePointer<Float> {
    keys + (column * grid.looked + row) * shape.keyStride
  }

  func value(column: Int, row: Int) -> UnsafeMutablePointer<Float> {
    values + (column * grid.looked + row) * shape.valueStride
  }

  /// Floats from a key to that of the next column.
  var keyStep: Int { grid.looked * shape.keyStride }
  /// Floats from a value to that of the next column.
  var valueStep: Int { grid.looked * shape.valueStride }

  func clear() {
    keys.update(repeating: 0, count: grid.looked * grid.width * shape.keyStride)
    values.update(repeating: 0, count: grid.looked * grid.width * shape.valueStride)
  }

  /// Gradients or contents of one column as the keys of a backward tile.
  func range(
    _ gradients: CombinerColumnSlots, column: Int, count: Int
  ) -> AttentionBackwardTile.Range {
    AttentionBackwardTile.Range(
      count: count, keys: key(column: column, row: 0), values: value(column: column, row: 0),
      keyGradients: gradients.key(column: column, row: 0),
      valueGradients: gradients.value(column: column, row: 0))
  }
}

/// Running softmax of every position between two sweeps, column by column.
struct CombinerPartials {
  let stride: Int
  private let maximum: UnsafeMutablePointer<Float>  // [columns, rows]
  private let sum: UnsafeMutablePointer<Float>  // [columns, rows]
  private let values: UnsafeMutablePointer<Float>  // [columns, rows, padded E]

  static func floats(_ shape: HeadShape, _ grid: CombinerGrid) -> Int {
    let places = grid.rows * grid.width
    return 2 * Scratch.rounded(places) + places * shape.valueStride
  }

  init(_ shape: HeadShape, _ longest: CombinerGrid, _ scratch: inout Scratch) {
    let places = longest.rows * longest.width
    stride = shape.valueStride
    maximum = scratch.take(places)
    sum = scratch.take(places)
    values = scratch.take(places * shape.valueStride)
  }

  /// Keeps the first `rows` rows of a panel at `place`, `place + step` and so on.
  func save(_ panel: AttentionPanel, place: Int, step: Int, rows: Int) {
    for row in 0..<rows {
      let to = place + row * step
      maximum[to] = panel.maximum[row]
      sum[to] = panel.sum[row]
      copyPacked(values + to * stride, panel.values + row * stride, count: stride)
    }
  }

  /// Starts a panel from where it was left; the lanes beyond `rows` from nothing.
  func restore(_ panel: AttentionPanel, place: Int, step: Int, rows: Int) {
    storePair(.zero, .zero, panel.maximum)
    storePair(.zero, .zero, panel.sum)
    for row in 0..<rows {
      let from = place + row * step
      panel.maximum[row] = maximum[from]
      panel.sum[row] = sum[from]
      copyPacked(panel.values + row * stride, values + from * stride, count: stride)
    }
  }
}

/// Copies `count` floats, a multiple of 16; faster than a call for the few of a row.
@inline(__always)
func copyPacked(
  _ destination: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, count: Int
) {
  var column = 0
  while column < count {
    let (a, b) = loadPair(source + column)
    storePair(a, b, destination + column)
    column += 16
  }
}

/// Adds `count` floats, a multiple of 16.
@inline(__always)
func addPacked(
  _ destination: UnsafeMutablePointer<Float>, _ source: UnsafePointer<Float>, count: Int
) {
  var column = 0
  while column < count {
    let (a, b) = loadPair(source + column)
    let (c, d) = loadPair(destination + column)
    storePair(c + a, d + b, destination + column)
    column += 16
  }
}

/// Writes `y / divisor` of a summary, `count` a multiple of 16, zero where it is not finite.
///
/// A row that must not see a summary gives it the weight zero, which would not hide a NaN. Scores
/// that overflow still reach the output of every row that does see them, by its direct keys.
@inline(__always)
func writeSummary(
  _ summary: UnsafeMutablePointer<Float>, _ y: UnsafePointer<Float>, divisor: Float, count: Int
) {
  let inverse = 1 / divisor
  let bound: Float = .greatestFiniteMagnitude
  var column = 0
  while column < count {
    let value = load(y + column) * inverse + 0
    let isFinite = (value .<= bound) .& (value .>= -bound)
    store(Lanes.zero.replacing(with: value, where: isFinite), summary + column)
    column += 8
  }
}
