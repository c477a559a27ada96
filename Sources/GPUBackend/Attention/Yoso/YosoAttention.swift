import CUDASource
package import Tensor

/// Causal YOSO attention (Zeng et al., 2021, arXiv 2111.09714) of a card; see `yoso/attention.cu`.
extension GPUKernels: YosoAttentionKernels {
  package func yosoAttention(_ shape: YosoShape, planes: View?) -> any AttentionOperator {
    YosoOperator(shape, given: planes, on: self)
  }
}

/// YOSO attention with its hyperplanes.
struct YosoOperator: AttentionOperator {
  let shape: YosoShape
  let kernels: GPUKernels
  private let drawn: YosoPlanes

  init(_ shape: YosoShape, given: View?, on kernels: GPUKernels) {
    self.shape = shape
    self.kernels = kernels
    drawn = YosoPlanes(shape, given: given, on: kernels)
  }

  /// More than any length.
  private static let everything = Int32(1) << 28

  var parameters: YosoParameters {
    let chunk =
      switch shape.estimate {
      case .expectation: Self.everything
      case .sampled: Int32(0)
      case .hybrid: min(Int32(clamping: shape.chunk), Self.everything)
      }
    return YosoParameters(
      heads: Int32(shape.heads), bits: Int32(shape.bits), hashes: Int32(shape.hashes),
      chunk: chunk, counted: shape.isRandom ? 1 : 0, exact: shape.slope == .exact ? 1 : 0,
      codeBytes: Int32(shape.codeBytes), codeRows: Int32(shape.codeRows), scanned: Int32(scanned),
      unit: shape.unit, leastNorm: shape.leastNorm)
  }

  /// Length from which on it costs less to go through a sequence once for every bucket than to compare
  /// every pair's codes: 4 times as many positions as buckets; the bits are the same.
  private var scanned: Int { 4 << shape.bits }

  /// Words of a vector's sides of all planes, as `sideWords` of the kernels.
  var sideBytes: Int { 4 * ((shape.hashes * shape.bits + 31) / 32 + 1) }

  /// The hyperplanes of a layer; nil if the attention draws none, or if the card has no memory for them,
  /// which the driver then says.
  func planes(width: Int, layer: Int, draw: AttentionDraw) -> View? {
    guard shape.isRandom else { return nil }
    guard GPUScratch.recorder == nil else {
      // Only counted: nothing is drawn, and the kernel is known to be needed.
      kernels.driver.launch(GPUKernel("yoso/planes", "yoso_draw"), grid: GPUGrid(1))
      return nil
    }
    do throws(DeviceError) {
      return try drawn.planes(width: width, layer: layer, draw: draw)
    } catch {
      kernels.driver.fail(error)
      return nil
    }
  }

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    let (q, k, v, saved) = (tensors.q, tensors.k, tensors.v, tensors.saved)
    let (keys, values) = (q.columns / shape.heads, v.columns / shape.heads)
    check(tensors, pass)
    if let planes = planes(width: keys, layer: pass.layer, draw: pass.draw) {
      // Queries and keys of four positions for each warp, as `hashedRows` of the kernel.
      let block = GPUKernels.WarpBlock(bytes: 8 * (4 * keys + sideBytes))
      kernels.driver.launch(
        GPUKernel("yoso/attention", "yoso_codes"),
        grid: block.grid((q.rows + 3) / 4, heads: shape.heads),
        block: block.threads, sharedBytes: block.sharedBytes, parameters, saved.matrix, q.matrix,
        k.matrix, planes.address)
    }
    withNorms(tensors, isNeeded: shape.estimate != .sampled) { norms in
      withSums(tensors, pass.sequences) { sums in
        let block = GPUKernels.WarpBlock(keys: max(keys, values), values: values)
        kernels.driver.launch(
          GPUKernel("yoso/attention", "yoso_forward"),
          grid: block.grid(q.rows, heads: shape.heads), block: block.threads,
          sharedBytes: block.sharedBytes, kernels.rows(pass.sequences), parameters, q.matrix,
          k.matrix, v.matrix, tensors.o.matrix, saved.matrix, norms, sums)
      }
    }
  }

  /// Calls `body` with the sums of values that long sequences collect from their tables, `[N, H·E]`.
  private func withSums(
    _ tensors: AttentionTensors, _ sequences: Sequences, _ body: (Matrix) -> Void
  ) {
    let long = zip(sequences.starts, sequences.starts.dropFirst()).filter { $1 - $0 >= scanned }
    guard shape.isRandom, !long.isEmpty else { return body(.none) }
    let v = tensors.v
    kernels.scratch.lendViews([(v.rows, v.columns), (long.count, 2)]) { parts in
      kernels.copyIn(long.flatMap { [Int32($0), Int32($1 - $0)] }, to: parts[1].address)
      for hash in 0..<shape.hashes {
        kernels.driver.launch(
          GPUKernel("yoso/attention", "yoso_scan"),
          grid: GPUGrid((32 * (long.count << shape.bits) + 255) / 256, shape.heads), parameters,
          parts[1].address, Int32(long.count), tensors.saved.matrix, v.matrix, parts[0].matrix,
          Int32(hash))
      }
      body(parts[0].matrix)
    }
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    let (q, k, v, saved) = (tensors.q, tensors.k, tensors.v, tensors.saved)
    let (keys, values) = (q.columns / shape.heads, v.columns / shape.heads)
    check(tensors, pass)
    withNorms(tensors, isNeeded: true) { norms in
      kernels.scratch.lendViews([(v.rows, v.columns)]) { parts in
        let dX = parts[0].matrix
        kernels.driver.launch(
          GPUKernel("yoso/gradients", "yoso_output_gradients"),
          grid: GPUGrid((v.rows + 7) / 8, shape.heads), dX, gradients.dO.matrix, tensors.o.matrix,
          saved.matrix, Int32(shape.heads), shape.leastNorm)
        let block = GPUKernels.WarpBlock(keys: keys, values: values)
        let grid = block.grid(q.rows, heads: shape.heads)
        let rows = kernels.rows(pass.sequences)
        kernels.driver.launch(
          GPUKernel("yoso/gradients", "yoso_queries"), grid: grid, block: block.threads,
          sharedBytes: block.sharedBytes, rows, parameters, q.matrix, k.matrix, v.matrix,
          saved.matrix, norms, dX, gradients.dq.matrix)
        kernels.driver.launch(
          GPUKernel("yoso/gradients", "yoso_keys"), grid: grid, block: block.threads,
          sharedBytes: block.sharedBytes, rows, parameters, q.matrix, k.matrix, v.matrix,
          saved.matrix, norms, dX, gradients.dk.matrix, gradients.dv.matrix)
      }
    }
  }

  /// Calls `body` with 1 / norms of queries and keys, `[2H, N]`.
  private func withNorms(
    _ tensors: AttentionTensors, isNeeded: Bool, _ body: (Matrix) -> Void
  ) {
    guard isNeeded else { return body(.none) }
    kernels.scratch.lendViews([(2 * shape.heads, tensors.q.rows)]) { parts in
      let block = GPUKernels.WarpBlock(keys: tensors.q.columns / shape.heads, values: 0)
      kernels.driver.launch(
        GPUKernel("yoso/attention", "yoso_norms"),
        grid: block.grid(tensors.q.rows, heads: shape.heads), block: block.threads,
        sharedBytes: block.sharedBytes, parts[0].matrix, tensors.q.matrix, tensors.k.matrix,
        Int32(shape.heads))
      body(parts[0].matrix)
    }
  }

  private func check(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    let (q, k, v, saved) = (tensors.q, tensors.k, tensors.v, tensors.saved)
    precondition(
      q.columns % shape.heads == 0 && k.columns == q.columns && v.columns % shape.heads == 0
        && tensors.o.columns == v.columns,
      "widths of q, k, v or o do not fit \(shape.heads) heads")
    precondition(
      saved.rows == shape.savedRows && saved.columns == q.rows && saved.buffer.type == .float32
        && pass.sequences.count == q.rows,
      "saved [\(saved.rows), \(saved.columns)] for \(q.rows) rows")
  }
}
