import Tensor

/// Positions of one sequence as rows of `width`, the last one perhaps shorter.
///
/// Position i stands in row i / width and column i mod width. A row is summarised if a position
/// follows it, so summarised rows are complete.
struct CombinerGrid: Sendable {
  let length: Int
  let width: Int
  let rows: Int
  /// Number of rows that a later position reads by their summaries.
  let summarised: Int

  init(length: Int, width: Int) {
    self.length = length
    self.width = width
    rows = (length + width - 1) / width
    summarised = max(length - 1, 0) / width
  }

  /// The grid of the longest sequence; a row is never wider than that, which changes nothing.
  init(longestOf views: CombinerViews) {
    let longest = views.tasks.longest
    self.init(length: longest, width: max(1, min(views.shape.segment, longest)))
  }

  /// Positions of a row.
  func count(row: Int) -> Int { min(width, length - row * width) }

  /// Queries of a column that have rows above: all of its positions but the first.
  func readers(column: Int) -> Int { max(0, (length - column + width - 1) / width - 1) }
}

/// Running softmax of every position between two sweeps, column by column.
struct CombinerPartials {
  let stride: Int
  private let maximum: UnsafeMutablePointer<Float>  // [columns, rows]
  private let sum: UnsafeMutablePointer<Float>  // [columns, rows]
  private let values: UnsafeMutablePointer<Float>  // [columns, rows, padded E]

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
    store(WideLanes.zero, panel.maximum)
    store(WideLanes.zero, panel.sum)
    for row in 0..<rows {
      let from = place + row * step
      panel.maximum[row] = maximum[from]
      panel.sum[row] = sum[from]
      copyPacked(panel.values + row * stride, values + from * stride, count: stride)
    }
  }
}

/// Keys and values that columns meet in the rows above, `[columns, rows, ·]`, one column together.
struct CombinerColumnSlots {
  let shape: HeadShape
  let grid: CombinerGrid
  let keys: UnsafeMutablePointer<Float>
  let values: UnsafeMutablePointer<Float>

  /// Slots in given memory.
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
      shape, longest, keys: scratch.take(longest.summarised * longest.width * shape.keyStride),
      values: scratch.take(longest.summarised * longest.width * shape.valueStride))
  }

  /// The same memory for another length.
  func with(_ grid: CombinerGrid) -> CombinerColumnSlots {
    CombinerColumnSlots(shape, grid, keys: keys, values: values)
  }

  func key(column: Int, row: Int) -> UnsafeMutablePointer<Float> {
    keys + (column * grid.summarised + row) * shape.keyStride
  }

  func value(column: Int, row: Int) -> UnsafeMutablePointer<Float> {
    values + (column * grid.summarised + row) * shape.valueStride
  }

  /// Floats from a key to that of the next column.
  var keyStep: Int { grid.summarised * shape.keyStride }
  /// Floats from a value to that of the next column.
  var valueStep: Int { grid.summarised * shape.valueStride }

  func clear() {
    keys.update(repeating: 0, count: grid.summarised * grid.width * shape.keyStride)
    values.update(repeating: 0, count: grid.summarised * grid.width * shape.valueStride)
  }

  /// The first `count` rows of a column as keys of a backward tile.
  func range(
    _ gradients: CombinerColumnSlots, column: Int, count: Int
  ) -> AttentionBackwardTile.Range {
    AttentionBackwardTile.Range(
      count: count, keys: key(column: column, row: 0), values: value(column: column, row: 0),
      keyGradients: gradients.key(column: column, row: 0),
      valueGradients: gradients.value(column: column, row: 0))
  }
}

/// Up to 64 queries of one column in the backward pass, gathered.
///
/// The rows of a column lie a whole row apart, a stride that would crowd them into few sets of the
/// cache, and every one is read once for each of its keys.
struct CombinerColumnTile {
  let shape: HeadShape
  private let queries: UnsafeMutablePointer<Float>  // [64, padded D]
  private let queryGradients: UnsafeMutablePointer<Float>  // [64, padded D]
  private let gradients: UnsafeMutablePointer<Float>  // [64, padded E]
  private let lse: UnsafeMutablePointer<Float>  // [64]
  private let dots: UnsafeMutablePointer<Float>  // [64]

  init(_ shape: HeadShape, _ scratch: inout Scratch) {
    self.shape = shape
    let rows = AttentionTile.backwardRows
    queries = scratch.take(rows * shape.keyStride)
    queryGradients = scratch.take(rows * shape.keyStride)
    gradients = scratch.take(rows * shape.valueStride)
    lse = scratch.take(rows)
    dots = scratch.take(rows)
  }

  /// Gathers the positions `position`, `position + step` and so on, with gradients zero.
  func gather(
    _ all: AttentionGradientRows, position: Int, step: Int, count: Int
  ) -> AttentionBackwardTile.Rows {
    for row in 0..<count {
      let from = position + row * step
      copyPacked(
        queries + row * shape.keyStride, all.queries + from * shape.keyStride,
        count: shape.keyStride)
      copyPacked(
        gradients + row * shape.valueStride, all.gradients + from * shape.valueStride,
        count: shape.valueStride)
      lse[row] = all.lse[from]
      dots[row] = all.dots[from]
    }
    queryGradients.update(repeating: 0, count: count * shape.keyStride)
    return AttentionBackwardTile.Rows(
      count: count, queries: queries, queryStride: shape.keyStride, gradients: gradients,
      gradientStride: shape.valueStride, lse: lse, dots: dots, queryGradients: queryGradients)
  }

  /// Adds the gathered queries' gradients to where they came from.
  func scatter(_ all: AttentionGradientRows, position: Int, step: Int, count: Int) {
    for row in 0..<count {
      addPacked(
        all.queryGradients + (position + row * step) * shape.keyStride,
        queryGradients + row * shape.keyStride, count: shape.keyStride)
    }
  }
}
