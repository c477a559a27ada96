import CUDASource
import Tensor

/// What makes an attention of plain loops: softmax attention is hierarchical attention of one block.
struct PlainShape {
  let heads: Int
  /// Heads of queries for each of keys and values.
  let group: Int
  let scale: Float
  let blockSize: Int
  let isFine: Bool

  /// Softmax attention.
  init(heads: Int, group: Int = 1, scale: Float) {
    self.heads = heads
    self.group = group
    self.scale = scale
    blockSize = 1 << 30
    isFine = true
  }

  init(_ shape: HierarchicalShape) {
    heads = shape.heads
    group = 1
    scale = shape.scale
    blockSize = shape.blockSize
    isFine = shape.fineQuery
  }
}

/// Attention of any widths, types and size of block, a warp for a row and head; slow.
struct PlainAttentionPass {
  private let kernels: GPUKernels
  private let shape: PlainShape
  private let tensors: AttentionTensors
  private let sequences: Sequences
  private let widths: HeadWidths
  private let biasLength: Int
  /// The highest level of the longest sequence.
  private let top: Int

  private struct Key: Hashable, Sendable {}

  /// Rows that one warp goes through for the slope of the bias.
  private static let chunk = 64

  init(
    _ kernels: GPUKernels, _ shape: PlainShape, _ tensors: AttentionTensors,
    _ sequences: Sequences, biasLength: Int
  ) {
    self.kernels = kernels
    self.shape = shape
    self.tensors = tensors
    self.sequences = sequences
    self.biasLength = biasLength
    widths = HeadWidths(tensors, heads: shape.heads)
    top = TiledSequence.all(sequences).reduce(0) { max($0, $1.topLevel(shape.blockSize)) }
  }

  func forward() {
    lend { arguments, _ in
      Self.launchForward(kernels, arguments, rows: tensors.q.rows, widths, top: top)
    }
  }

  /// Means of levels up to `top`, and the rows.
  static func launchForward(
    _ kernels: GPUKernels, _ arguments: PlainAttention, rows: Int, _ widths: HeadWidths, top: Int
  ) {
    launchMeans(kernels, arguments, rows: rows, top: top)
    kernels.driver.launch(
      kernel("plain_forward"), grid: GPUGrid(rows, Int(arguments.heads)), block: 32,
      sharedBytes: 4 * widths.values, arguments)
  }

  private static func launchMeans(
    _ kernels: GPUKernels, _ arguments: PlainAttention, rows: Int, top: Int
  ) {
    let columns = Int(arguments.k.columns + arguments.v.columns)
    for level in 0..<top {
      kernels.driver.launch(
        kernel("plain_means"), grid: .threads(rows * columns), arguments, Int32(level + 1),
        Int32(rows))
    }
  }

  private static func kernel(_ name: String) -> GPUKernel { GPUKernel("attention/plain", name) }

  func backward(_ gradients: AttentionGradients) {
    let (rows, heads) = (tensors.q.rows, shape.heads)
    let chunks = (rows + Self.chunk - 1) / Self.chunk
    let slopes = top > 0 ? rows : 0
    let biasColumns = gradients.dBias == nil ? 0 : heads * biasLength
    let shapes = [
      (heads, rows), (slopes, tensors.k.columns), (slopes, tensors.v.columns),
      (chunks, biasColumns),
    ]
    lend(more: shapes) { arguments, parts in
      var arguments = arguments
      arguments.dO = gradients.dO.matrix
      arguments.dq = gradients.dq.matrix
      arguments.dk = gradients.dk.matrix
      arguments.dv = gradients.dv.matrix
      arguments.dots = parts[0].matrix
      arguments.keySlopes = parts[1].matrix
      arguments.valueSlopes = parts[2].matrix
      arguments.tallies = parts[3].matrix
      Self.launchMeans(kernels, arguments, rows: rows, top: top)
      let grid = GPUGrid(rows, heads)
      kernels.driver.launch(Self.kernel("plain_dots"), grid: grid, block: 32, arguments)
      kernels.driver.launch(
        Self.kernel("plain_queries"), grid: grid, block: 32, sharedBytes: 4 * widths.keys,
        arguments)
      for level in (0...top).reversed() {
        kernels.driver.launch(
          Self.kernel("plain_keys"), grid: grid, block: 32,
          sharedBytes: 4 * (widths.keys + widths.values), arguments, Int32(level))
      }
      guard let dBias = gradients.dBias else { return }
      kernels.driver.launch(
        Self.kernel("plain_bias"), grid: GPUGrid(chunks, heads), block: 32, arguments, Int32(rows))
      for head in 0..<heads {
        kernels.addRows(
          of: parts[3].columns(head * biasLength..<(head + 1) * biasLength),
          to: dBias.rows(head..<head + 1))
      }
    }
  }

  /// Calls `body` with the tensors of the call and matrices of floats of some shapes.
  private func lend(
    more shapes: [(rows: Int, columns: Int)] = [],
    _ body: (_ arguments: PlainAttention, _ parts: [View]) -> Void
  ) {
    let rows = sequences.placedStarts.plans.plan(Key()) {
      kernels.attempt { () throws(DeviceError) in
        try PlacedIndices(Self.rows(of: sequences), kernels.driver)
      }
    }
    guard let rows else { return }
    let count = top > 0 ? tensors.q.rows : 0
    let means = [(rows: count, columns: tensors.k.columns), (count, tensors.v.columns)]
    kernels.withFloats(of: tensors.bias) { bias in
      kernels.scratch.lendViews(means + shapes) { parts in
        var arguments = PlainAttention(
          tensors, bias: bias, shape, k: tensors.k, v: tensors.v,
          means: (parts[0], parts[1]))
        arguments.saved = tensors.saved.matrix
        arguments.bias.columns = Int32(biasLength)
        arguments.rows = rows.address
        body(arguments, Array(parts.dropFirst(2)))
      }
    }
  }

  /// Start and length of its sequence, and position, of every row of a batch.
  private static func rows(of sequences: Sequences) -> [Int32] {
    TiledSequence.all(sequences).flatMap { sequence in
      (0..<sequence.length).flatMap {
        [Int32(sequence.start), Int32(sequence.length), Int32($0)]
      }
    }
  }
}

extension PlainAttention {
  /// - Parameters:
  ///   - tensors: Queries and outputs.
  ///   - bias: The bias, if there is one.
  ///   - shape: The attention.
  ///   - k: Keys, or the rows of a stream for their width and type.
  ///   - v: Values, likewise.
  ///   - means: Of keys and values, likewise.
  init(
    _ tensors: AttentionTensors, bias: View?, _ shape: PlainShape, k: View, v: View,
    means: (keys: View?, values: View?)
  ) {
    self.init()
    q = tensors.q.matrix
    o = tensors.o.matrix
    self.k = k.matrix
    self.v = v.matrix
    if let bias { self.bias = bias.matrix }
    if let keys = means.keys { keyMeans = keys.matrix }
    if let values = means.values { valueMeans = values.matrix }
    heads = Int32(shape.heads)
    group = Int32(shape.group)
    scale = shape.scale
    blockSize = Int32(shape.blockSize)
    isFine = shape.isFine ? 1 : 0
  }
}

extension StreamState {
  /// The tensors of a step as kernels of any shape take them, with the strides of this state's memory.
  func plainArguments(
    _ tensors: AttentionTensors, bias: View?, _ shape: PlainShape
  ) -> PlainAttention? {
    guard let (k, v, keyMeans, valueMeans) = matrices else { return nil }
    var arguments = PlainAttention(
      tensors, bias: bias, shape, k: k, v: v, means: (keyMeans, valueMeans))
    if keepsQueries {
      arguments.q.stride = Int64(tensors.q.columns)
      arguments.q.aligned = 0
    }
    return arguments
  }
}
