/// Kernels that move single rows of a table, which a back end may leave out.
package protocol RowKernels: Kernels {
  /// One step on some rows of a table: AdaGrad (Duchi et al., 2011) with one number a row.
  ///
  ///     s[r] += mean(g[r]²)
  ///     p[r] -= rate · g[r] / sqrt(s[r])
  ///
  /// A row whose gradients have all been zero stays.
  ///
  /// - Parameters:
  ///   - table: The weights p, `[R, C]`.
  ///   - squares: The sums s, `[1, R]`.
  ///   - gradients: Those of the rows that are moved, `[U, C]`.
  ///   - rows: Which these are, each once, `[U]`.
  ///   - rate: Size of a first step.
  func moveRows(table: View, squares: View, gradients: View, rows: Indices, rate: Float)
}
