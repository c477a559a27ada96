import Host
import Tensor

/// Projected addresses of M summarised positions, all heads together.
///
///     y = x + S Woᵀ        A = LN(y) Waᵀ
///     dLN = dA Wa,  dy = LN'(dLN),  dx = dy,  dS += dy Wo,  dWa += dAᵀ LN,  dWo += dyᵀ S
///
/// The released code of Ren and others (2021), `proj`. Forward, a row depends on its own row of x
/// and S and on the weights alone, bit for bit, so that decoding row by row gives the same.
struct CombinerProjectionRows: Sendable {
  let projection: CombinerProjection
  /// x at first, then the normalised y without gain and bias.
  let input: View  // [M, C]
  let summaries: View  // [M, H·E]
  private let normed: View  // [M, C]
  private let rstd: View  // [1, M]
  let addresses: View  // [M, H·D]

  init(_ projection: CombinerProjection, count: Int, _ scratch: inout Scratch) {
    let width = projection.gain.count
    precondition(
      projection.summaryWeight.rows == width && projection.addressWeight.columns == width
        && projection.input.columns == width, "shapes of the address projection")
    self.projection = projection
    input = scratch.takeView(rows: count, columns: width)
    summaries = scratch.takeView(rows: count, columns: projection.summaryWeight.columns)
    normed = scratch.takeView(rows: count, columns: width)
    rstd = scratch.takeView(rows: 1, columns: count)
    addresses = scratch.takeView(rows: count, columns: projection.addressWeight.rows)
  }

  private var norm: LayerNorm {
    LayerNorm(gain: projection.gain, bias: projection.bias, epsilon: projection.epsilon)
  }

  /// Fills the addresses from the input and the summaries.
  func forward() {
    let kernels = CPUKernels()
    kernels.linearForward(y: input, x: summaries, w: projection.summaryWeight, accumulate: true)
    norm.forward(y: normed, hat: input, rstd: rstd, x: input)
    kernels.linearForward(
      y: addresses, x: normed, w: projection.addressWeight, accumulate: false)
  }

  /// Adds to `dSummaries` and to the gradients of the weights.
  ///
  /// - Parameter dInput: Overwritten, `[M, C]`.
  func backward(
    dInput: View, dSummaries: View, dAddresses: View, _ gradients: CombinerProjectionGradients
  ) {
    let kernels = CPUKernels()
    kernels.linearBackwardWeight(dw: gradients.dAddressWeight, dy: dAddresses, x: normed)
    kernels.linearBackwardInput(
      dx: dInput, dy: dAddresses, w: projection.addressWeight, accumulate: false)
    norm.backward(
      dx: dInput, dGain: gradients.dGain, dBias: gradients.dBias, dy: dInput, hat: input,
      rstd: rstd)
    kernels.linearBackwardWeight(dw: gradients.dSummaryWeight, dy: dInput, x: summaries)
    kernels.linearBackwardInput(
      dx: dSummaries, dy: dInput, w: projection.summaryWeight, accumulate: true)
  }
}

/// The summaries and addresses of one sequence and head inside those of a batch.
struct CombinerProjectedSlots {
  let shape: HeadShape
  let addresses: UnsafeMutablePointer<Float>
  let addressStride: Int
  let summaries: UnsafeMutablePointer<Float>
  let summaryStride: Int

  /// - Parameters:
  ///   - row: Row of the sequence's first position.
  ///   - addresses: Addresses or their gradients, `[M, H·D]`.
  ///   - summaries: Summaries or their gradients, `[M, H·E]`.
  init(_ shape: HeadShape, head: Int, row: Int, addresses: View, summaries: View) {
    self.shape = shape
    self.addresses = addresses.base + row * addresses.stride + head * shape.keyWidth
    self.summaries = summaries.base + row * summaries.stride + head * shape.valueWidth
    addressStride = addresses.stride
    summaryStride = summaries.stride
  }

  /// Packs both, column by column.
  func pack(into slots: CombinerColumnSlots) {
    let grid = slots.grid
    for column in 0..<grid.width {
      packRows(
        slots.key(column: column, row: 0), stride: shape.keyStride,
        addresses + column * addressStride, sourceStride: grid.width * addressStride,
        rows: grid.summarised, width: shape.keyWidth)
    }
    packSummaries(into: slots)
  }

  /// Packs the summaries alone.
  func packSummaries(into slots: CombinerColumnSlots) {
    let grid = slots.grid
    for column in 0..<grid.width {
      packRows(
        slots.value(column: column, row: 0), stride: shape.valueStride,
        summaries + column * summaryStride, sourceStride: grid.width * summaryStride,
        rows: grid.summarised, width: shape.valueWidth)
    }
  }

  /// Unpacks both, the other way.
  func unpack(_ slots: CombinerColumnSlots) {
    let grid = slots.grid
    for row in 0..<grid.summarised {
      for column in 0..<grid.width {
        let position = row * grid.width + column
        (addresses + position * addressStride).update(
          from: slots.key(column: column, row: row), count: shape.keyWidth)
        (summaries + position * summaryStride).update(
          from: slots.value(column: column, row: row), count: shape.valueWidth)
      }
    }
  }
}
