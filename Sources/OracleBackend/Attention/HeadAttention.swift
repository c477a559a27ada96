/// The definition of an attention for one sequence and one head.
///
/// Rows are arrays: `q, k [L][D]`, `v, o [L][E]`. A row of the output is computed from the rows up to it
/// in an order of its own, so that it has the same bits in any company.
protocol HeadAttention {
  /// Outputs of the given rows, of all if there are none given, and what is saved of each.
  func attend(rows: [Int]?) -> (o: [[Double]], saved: [Double])

  /// Gradients of `Σ dO · o`.
  func gradients(dO: [[Double]]) -> HeadGradients
}

/// Gradients of one sequence and one head.
struct HeadGradients {
  var dq: [[Double]]
  var dk: [[Double]]
  var dv: [[Double]]
  /// Empty without a bias.
  var dBias: [Double] = []
}

/// Zeros in the shape of `rows`.
func zeros(like rows: [[Double]]) -> [[Double]] {
  rows.map { [Double](repeating: 0, count: $0.count) }
}
