import Tensor

/// Projected addresses of row-major summaries, `A = LN(x + S Woᵀ) Waᵀ`, all heads together; see
/// `combiner_projection.cu`.
///
/// A row depends on its own alone: the products that carry rows on are asked for independent ones.
struct CombinerAddresses {
  let projection: CombinerProjection
  private let kernels: GPUKernels
  private let input: View  // [N, C], x
  private let sums: View  // [N, C], x + S Woᵀ
  private let scaled: View  // [N, C], what the layer norm makes of them

  /// Calls `body` with memory for the addresses of the first rows of the input.
  static func lend(
    _ projection: CombinerProjection, rows: Int, on kernels: GPUKernels,
    _ body: (CombinerAddresses) -> Void
  ) {
    let shape = (rows, projection.input.columns)
    kernels.scratch.lendViews([shape, shape]) { parts in
      body(
        CombinerAddresses(
          projection: projection, kernels: kernels, input: projection.input.rows(0..<rows),
          sums: parts[0], scaled: parts[1]))
    }
  }

  /// Fills the keys `[N, H·D]` of the summaries `[N, H·E]`.
  func forward(values: View, keys: View) {
    kernels.copy(input, to: sums)
    kernels.multiply(
      GPUProduct(
        sums, .init(values), .init(projection.summaryWeight, isTransposed: true),
        accumulate: true, rowsAreIndependent: true))
    kernels.driver.launch(
      GPUKernel("combiner_projection", "layer_norm_forward"), grid: .warps(sums.rows),
      scaled.matrix, sums.matrix, projection.gain.matrix, projection.bias.matrix,
      projection.epsilon)
    kernels.linearForward(y: keys, x: scaled, w: projection.addressWeight, accumulate: false)
  }

  /// From the gradient of the keys to those of the projection, and adds to that of the values; after
  /// `forward`, whose sums it overwrites.
  func backward(_ family: CombinerPass.Family, _ gradients: CombinerProjectionGradients) {
    kernels.linearBackwardWeight(
      dw: gradients.dAddressWeight, dy: family.dKeys, x: scaled)
    let (rows, width, chunks) = (sums.rows, sums.columns, (sums.rows + 63) / 64)
    kernels.scratch.lendViews([(rows, width), (rows, width), (chunks, width)]) { parts in
      let (dScaled, dSums, shares) = (parts[0], parts[1], parts[2])
      kernels.multiply(
        GPUProduct(
          dScaled, .init(family.dKeys), .init(projection.addressWeight), accumulate: false,
          rowsAreIndependent: true))
      kernels.driver.launch(
        GPUKernel("combiner_projection", "layer_norm_backward"), grid: .warps(rows), sums.matrix,
        dScaled.matrix, dSums.matrix, projection.gain.matrix, projection.epsilon)
      for (terms, sum) in [(sums, gradients.dGain), (dScaled, gradients.dBias)] {
        kernels.driver.launch(
          GPUKernel("combiner_projection", "sum_chunks"),
          grid: GPUGrid((width + 255) / 256, chunks), shares.matrix, terms.matrix)
        kernels.addRows(of: shares, to: sum)
      }
      kernels.linearBackwardWeight(
        dw: gradients.dSummaryWeight, dy: dSums, x: family.values)
      kernels.multiply(
        GPUProduct(
          family.dValues, .init(dSums), .init(projection.summaryWeight), accumulate: true,
          rowsAreIndependent: true))
      kernels.copy(dSums, to: gradients.dInput)
    }
  }
}
