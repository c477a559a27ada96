import Tensor

/// Products that one algorithm is pinned for.
///
/// Where rows are to be independent, that is all products of one width and depth, whatever their number
/// of rows: a row's bits then cannot depend on how many are computed with it. Where parts are to be, all
/// numbers of them are one kind. Elsewhere the size that
/// follows from a batch is rounded up to a power of two, so that a batch of another length does not
/// mean another choice each time.
struct ProductKind: Hashable, CustomStringConvertible {
  /// Sizes that the algorithm is chosen for: `c [rows, columns] = a [rows, depth] b [depth, columns]`.
  let rows: Int
  let columns: Int
  let depth: Int
  let aIsTransposed: Bool
  let bIsTransposed: Bool
  /// Of `a` and `b`, and of `c`.
  let input: NumberType
  let output: NumberType
  let rowsAreIndependent: Bool
  /// Products of these sizes that are computed at once, and that the algorithm is chosen for.
  let parts: Int
  let partsAreIndependent: Bool

  /// So many rows stand for many.
  static let manyRows = 1 << 16
  /// So many parts stand for any number.
  static let manyParts = 8

  init(_ product: GPUProduct) {
    let (rows, depth) = (product.rows, product.depth)
    self.rows =
      product.rowsAreIndependent
      ? Self.manyRows : product.a.isTransposed ? rows : Self.rounded(rows)
    // Of a gradient of weights the depth are the positions of a batch.
    self.depth = product.a.isTransposed ? Self.rounded(depth) : depth
    columns = product.c.columns
    aIsTransposed = product.a.isTransposed
    bIsTransposed = product.b.isTransposed
    input = product.a.view.buffer.type
    output = product.c.buffer.type
    rowsAreIndependent = product.rowsAreIndependent
    partsAreIndependent = product.partsAreIndependent
    parts = partsAreIndependent ? Self.manyParts : product.parts
  }

  /// The next power of two, from 16.
  static func rounded(_ size: Int) -> Int {
    var power = 16
    while power < size { power *= 2 }
    return power
  }

  var description: String {
    let types = "\(input.rawValue) to \(output.rawValue)"
    let (a, b) = (aIsTransposed ? "ᵀ" : "", bIsTransposed ? "ᵀ" : "")
    return
      (partsAreIndependent ? "any number of " : parts > 1 ? "\(parts) of " : "")
      + "[\(rowsAreIndependent ? "any" : "\(rows)"), \(depth)]\(a) × [\(depth), \(columns)]\(b), "
      + types
  }

  /// Rows and columns as they lie in memory.
  func shapeOfA(rows: Int, depth: Int) -> (rows: Int, columns: Int) {
    aIsTransposed ? (depth, rows) : (rows, depth)
  }

  func shapeOfB(depth: Int) -> (rows: Int, columns: Int) {
    bIsTransposed ? (columns, depth) : (depth, columns)
  }
}
