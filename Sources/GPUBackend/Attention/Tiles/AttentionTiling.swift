import CUDASource
import Tensor

/// Attention by tiles of 16 rows, a warp each, for the widths of heads that its kernels are compiled for.
struct AttentionTiling {
  private(set) var driver: any GPUDriver
  let heads: Int
  /// Of a head's keys and of its values.
  let width: Int
  let type: NumberType

  /// The largest bias whose slope a block sums up in its shared memory.
  private static let longestBias = 2_560

  /// - Parameters:
  ///   - driver: Where kernels run.
  ///   - heads: H.
  ///   - widths: Of a head.
  ///   - type: Of queries, keys and values.
  ///   - biasLength: Distances of the bias, or 0.
  /// - Returns: Nil for what ``PlainAttentionPass`` has to do.
  init?(
    _ driver: any GPUDriver, heads: Int, widths: HeadWidths, type: NumberType, biasLength: Int
  ) {
    guard
      widths.keys == widths.values, widths.keys % 16 == 0, (32...128).contains(widths.keys),
      biasLength <= Self.longestBias, type == .float32 || type == .brain16
    else { return nil }
    self.driver = driver
    self.heads = heads
    self.width = widths.keys
    self.type = type
  }

  /// The same for the tensors of a pass, whose types and places have to suit it too.
  init?(
    _ driver: any GPUDriver, heads: Int, _ tensors: AttentionTensors,
    _ gradients: AttentionGradients? = nil
  ) {
    self.init(
      driver, heads: heads, widths: HeadWidths(tensors, heads: heads),
      type: tensors.q.buffer.type, biasLength: tensors.bias?.columns ?? 0)
    var views = [tensors.q, tensors.k, tensors.v, tensors.o]
    if let gradients { views += [gradients.dO, gradients.dq, gradients.dk, gradients.dv] }
    for view in views where view.buffer.type != type || view.matrix.aligned == 0 { return nil }
  }

  /// The same where kernels run on another driver of the card.
  func on(_ driver: any GPUDriver) -> AttentionTiling {
    var other = self
    other.driver = driver
    return other
  }

  /// Numbers of a row of all heads.
  var columns: Int { heads * width }

  /// Bytes of so many rows of all heads.
  func bytes(rows: Int) -> Int { rows * columns * type.bytes }

  /// Runs a kernel over a list of tiles.
  ///
  /// - Parameters:
  ///   - file: Of the kernel, in the folder of attention.
  ///   - name: Of the kernel.
  ///   - arguments: Its tensors.
  ///   - tiles: The first tile on the card, and how many there are.
  ///   - depth: Blocks in the third dimension.
  ///   - sharedBytes: Of a block.
  func launch(
    _ file: String, _ name: String, _ arguments: AttentionArguments,
    _ tiles: (address: UnsafeMutableRawPointer, count: Int), depth: Int = 1, sharedBytes: Int = 0
  ) {
    guard tiles.count > 0 else { return }
    driver.launch(
      kernel(file, name), grid: GPUGrid(Self.blocks(tiles.count), heads, depth), block: 128,
      sharedBytes: sharedBytes, arguments, tiles.address, Int32(tiles.count))
  }

  /// Rotates the tiles of long sequences, if anything is to be rotated.
  func rotate(
    _ name: String, _ arguments: AttentionArguments,
    _ tiles: (address: UnsafeMutableRawPointer, count: Int)
  ) {
    if arguments.rotation != nil { launch("rotate", name, arguments, tiles) }
  }

  func kernel(_ file: String, _ name: String) -> GPUKernel {
    let number = type == .float32 ? "float" : "bf16"
    return GPUKernel(
      "attention/" + file, name, definitions: ["NUMBER=" + number, "WIDTH=\(width)"])
  }

  static func blocks(_ tiles: Int) -> Int {
    (tiles + TiledSequence.blockTiles - 1) / TiledSequence.blockTiles
  }

  /// Shared memory in which a block sums up the slope of a bias.
  static func tallyBytes(_ biasLength: Int) -> Int {
    4 * TiledSequence.blockTiles * (biasLength + 16 * 36)
  }
}

extension HeadWidths {
  /// Widths of a head of these tensors, after checking that their shapes agree.
  ///
  /// - Parameters:
  ///   - tensors: Queries, keys, values and outputs.
  ///   - heads: H.
  ///   - group: Heads of queries for each of keys and values.
  init(_ tensors: AttentionTensors, heads: Int, group: Int = 1) {
    let (q, k, v, o) = (tensors.q, tensors.k, tensors.v, tensors.o)
    precondition(heads > 0 && q.columns % heads == 0 && o.columns % heads == 0, "\(heads) heads")
    precondition(
      q.columns == group * k.columns && o.columns == group * v.columns,
      "widths of q, k or v, o differ")
    precondition(q.rows == k.rows && k.rows == v.rows && v.rows == o.rows, "rows differ")
    self.init(keys: q.columns / heads, values: o.columns / heads)
  }
}
