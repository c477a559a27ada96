import CUDASource
import Tensor

extension AttentionArguments {
  /// The tensors of a call; working memory is left out.
  ///
  /// - Parameters:
  ///   - tensors: Queries, keys, values and outputs.
  ///   - bias: The bias in single precision.
  ///   - heads: H.
  ///   - scale: Factor of every logit.
  init(_ tensors: AttentionTensors, bias: View?, heads: Int, scale: Float) {
    self.init()
    self.heads = Int32(heads)
    group = 1
    self.scale = scale
    positions = Int32(tensors.q.rows)
    (q, qStride) = tensors.q.place
    (k, kStride) = tensors.k.place
    (v, vStride) = tensors.v.place
    (o, oStride) = tensors.o.place
    if let bias {
      self.bias = bias.floats
      biasStride = Int32(bias.stride)
      biasLength = Int32(bias.columns)
    }
  }

  /// Adds what the passes keep, of so many positions.
  mutating func keep(_ logarithms: View) {
    saved = logarithms.floats
    savedStride = Int32(logarithms.stride)
  }

  /// Has queries and keys rotated, if there is a table for it.
  mutating func rotate(by table: View?) {
    if let table { rotation = table.floats }
  }

  mutating func add(_ gradients: AttentionGradients) {
    (dO, dOStride) = gradients.dO.place
    (dq, dqStride) = gradients.dq.place
    (dk, dkStride) = gradients.dk.place
    (dv, dvStride) = gradients.dv.place
  }
}

extension View {
  /// Where the first row is, and numbers from one row to the next.
  fileprivate var place: (UnsafeMutableRawPointer, Int32) { (address, Int32(stride)) }

  /// Where numbers of single precision begin.
  fileprivate var floats: UnsafeMutableRawPointer {
    precondition(buffer.type == .float32, "numbers of another type than single precision")
    return address
  }
}

extension GPUKernels {
  /// Calls `body` with a bias in single precision.
  func withFloats(of bias: View?, _ body: (View?) -> Void) {
    guard let bias, bias.buffer.type != .float32 else { return body(bias) }
    scratch.lendViews([(bias.rows, bias.columns)]) { parts in
      copy(bias, to: parts[0])
      body(parts[0])
    }
  }

  /// Adds tallies of blocks, `[H, blocks, B]`, to the slope of a bias, `[H, B]`.
  func addTallies(_ tallies: UnsafeMutableRawPointer, blocks: Int, to slope: View) {
    driver.launch(
      GPUKernel("attention/tallies", "add_tallies"),
      grid: GPUGrid((slope.columns + 31) / 32, slope.rows), block: 1_024, slope.matrix, tallies,
      Int32(blocks))
  }
}
