import Tensor

/// Projected addresses of row-major summaries, `A = LN(x + S Woᵀ) Waᵀ`, all heads together; see
/// `combiner/projection.cu`.
///
/// A row depends on its own alone: the products that carry rows on are asked for independent ones.
/// Both operands of a product are of the weights' type, sums are in single precision.
struct CombinerAddresses {
  let projection: CombinerProjection
  private let kernels: GPUKernels
  private let input: View  // [N, C], x
  private let sums: View  // [N, C], x + S Woᵀ
  private let scaled: View  // [N, C], what the layer norm makes of them
  private let summaries: View  // [N, H·E], S, where they are of another type
  private let rows: Int

  /// Calls `body` with memory for the addresses of the first rows of the input.
  static func lend(
    _ projection: CombinerProjection, rows: Int, on kernels: GPUKernels,
    _ body: (CombinerAddresses) -> Void
  ) {
    let type = projection.summaryWeight.buffer.type
    let (width, values) = (projection.input.columns, projection.summaryWeight.columns)
    let other = type == .float32 ? 0 : rows
    kernels.scratch.lend([
      4 * rows * width, type.bytes * rows * width, type.bytes * other * values,
    ]) { parts in
      body(
        CombinerAddresses(
          projection: projection, kernels: kernels, input: projection.input.rows(0..<rows),
          sums: View(lent: parts[0], rows: rows, columns: width),
          scaled: View(lent: parts[1], rows: rows, columns: width, type: type),
          summaries: View(lent: parts[2], rows: other, columns: values, type: type), rows: rows))
    }
  }

  /// Fills the keys `[N, H·D]` of the summaries `[N, H·E]`.
  func forward(values: View, keys: View) {
    kernels.copy(input, to: sums)
    kernels.multiply(
      GPUProduct(
        sums, .init(operand(values, summaries)),
        .init(projection.summaryWeight, isTransposed: true),
        accumulate: true, rowsAreIndependent: true))
    kernels.driver.launch(
      GPUKernel("combiner/projection", "layer_norm_forward"), grid: .warps(rows),
      scaled.matrix, sums.matrix, projection.gain.matrix, projection.bias.matrix,
      projection.epsilon)
    kernels.linearForward(y: keys, x: scaled, w: projection.addressWeight, accumulate: false)
  }

  /// The numbers in the type of the weights.
  private func operand(_ numbers: View, _ room: View) -> View {
    if room.rows == 0 { return numbers }
    kernels.copy(numbers, to: room)
    return room
  }

  /// From the gradient of the keys to those of the projection, and adds to that of the values; after
  /// `forward`, whose sums it overwrites.
  func backward(_ family: CombinerPass.Family, _ gradients: CombinerProjectionGradients) {
    let (width, chunks) = (sums.columns, (rows + 63) / 64)
    let (type, keys) = (scaled.buffer.type, family.dKeys.columns)
    let other = summaries.rows
    kernels.scratch.lend([
      4 * rows * width, 4 * rows * width, 4 * chunks * width, type.bytes * other * width,
      type.bytes * other * keys,
    ]) { parts in
      let dScaled = View(lent: parts[0], rows: rows, columns: width)
      let dSums = View(lent: parts[1], rows: rows, columns: width)
      let shares = View(lent: parts[2], rows: chunks, columns: width)
      let dKeys = operand(
        family.dKeys, View(lent: parts[4], rows: other, columns: keys, type: type))
      kernels.linearBackwardWeight(dw: gradients.dAddressWeight, dy: dKeys, x: scaled)
      kernels.multiply(
        GPUProduct(
          dScaled, .init(dKeys), .init(projection.addressWeight), accumulate: false,
          rowsAreIndependent: true))
      kernels.driver.launch(
        GPUKernel("combiner/projection", "layer_norm_backward"), grid: .warps(rows), sums.matrix,
        dScaled.matrix, dSums.matrix, projection.gain.matrix, projection.epsilon)
      for (terms, sum) in [(sums, gradients.dGain), (dScaled, gradients.dBias)] {
        kernels.driver.launch(
          GPUKernel("combiner/projection", "sum_chunks"),
          grid: GPUGrid((width + 255) / 256, chunks), shares.matrix, terms.matrix)
        kernels.addRows(of: shares, to: sum)
      }
      let dOperand = operand(
        dSums, View(lent: parts[3], rows: other, columns: width, type: type))
      kernels.linearBackwardWeight(
        dw: gradients.dSummaryWeight, dy: dOperand, x: other == 0 ? family.values : summaries)
      kernels.multiply(
        GPUProduct(
          family.dValues, .init(dOperand), .init(projection.summaryWeight), accumulate: true,
          rowsAreIndependent: true))
      kernels.copy(dSums, to: gradients.dInput)
    }
  }
}

extension View {
  /// A matrix in memory that is lent.
  fileprivate init(
    lent address: UnsafeMutableRawPointer, rows: Int, columns: Int, type: NumberType = .float32
  ) {
    self.init(
      Buffer(address: address, count: rows * columns, type: type, home: .device, bytes: 0) {},
      offset: 0, rows: rows, columns: columns)
  }
}
