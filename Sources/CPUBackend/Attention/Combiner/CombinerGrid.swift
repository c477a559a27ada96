import Tensor

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
  init(longestOf views: CombinerViews) {
    let longest = views.tasks.longest
    self.init(length: longest, width: max(1, min(views.shape.segment, longest)))
  }

  /// Positions of a row.
  func count(row: Int) -> Int { min(width, length - row * width) }

  /// Queries of a column that have rows above: all of its positions but the first.
  func readers(column: Int) -> Int { max(0, (length - column + width - 1) / width - 1) }
}
