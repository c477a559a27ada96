import CUDASource
import Foundation
import GPUBackend
import Tensor

/// No card: takes note of what one would be asked for, at the size of real training.
///
/// Memory is address space that nobody touches. Unchecked because a test uses it from one thread.
final class CountedDriver: GPUDriver, @unchecked Sendable {
  /// All launches of one kernel, or products of one shape.
  struct Work: Sendable {
    var launches = 0
    /// Read and written, each operand once.
    var bytes = 0.0
    /// Of products.
    var flops = 0.0
    /// What it should take on an H100, in seconds.
    var seconds = 0.0
  }

  /// By name of the kernel, or what is multiplied.
  private(set) var work: [String: Work] = [:]
  /// Most bytes that were held at a time.
  private(set) var mostBytes = 0
  private var heldBytes = 0

  /// Copies on an H100 run at 3.0 TB/s; what kernels do beside costs a tenth.
  private static let bandwidth = 2.7e12
  /// Of a product whose tiles of 128 x 256 keep all 132 multiprocessors busy.
  private static let rate = 700e12
  /// In single precision, with tiles of 128 x 128.
  private static let singleRate = 51e12
  /// From the end of a kernel to the beginning of the next, and the time in which a card fills and empties.
  private static let launch = 2e-6

  init() {}

  var name: String { "counted" }
  var freeBytes: Int? { nil }

  func reset() { work = [:] }

  /// What each kernel does with the matrices among its parameters: reads, writes, or both ("m").
  private static let uses: [String: String] = [
    "rms_norm_forward": "wwrr", "rms_norm_backward": "m-wrrrr",
    "rms_norm_backward_512": "m-wrrrr", "rms_norm_backward_1024": "m-wrrrr",
    "rms_norm_backward_512_bf16": "m-wrrrr", "rms_norm_backward_1024_bf16": "m-wrrrr",
    "cross_entropy_held": "wm",
    "swiglu_forward": "wrr",
    "swiglu_backward": "wwwrrr", "rotate_heads": "m-", "cross_entropy": "wm",
    "embedding_forward": "m-", "embedding_shares": "wr", "embedding_owners": "-m",
    "adamw": "mmmr", "move_average": "mr", "copy_matrix": "wr", "fill_matrix": "w",
    "square_shares": "r", "muon_momentum": "wmr", "muon_normalize": "m", "muon_polynomial": "mr",
    "muon_move": "mr",
    "add_rows": "mr", "add_products": "mrrr", "residual_add": "mr", "dropout": "m",
  ]

  private func count(_ name: String, bytes: Double, flops: Double = 0, seconds: Double) {
    work[name, default: Work()].launches += 1
    work[name, default: Work()].bytes += bytes
    work[name, default: Work()].flops += flops
    work[name, default: Work()].seconds += seconds + Self.launch
  }

  func launch(
    _ kernel: GPUKernel, grid: GPUGrid, block: Int, sharedBytes: Int,
    arguments: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  ) {
    let name = kernel.name
    var bytes = 0.0
    for (use, argument) in zip(Self.uses[name] ?? "", matrices(name, arguments)) {
      let size = Double(argument.rows) * Double(argument.columns)
      bytes +=
        size * (argument.type == NUMBER_FLOAT ? 4 : 2) * (use == "m" ? 2 : use == "-" ? 0 : 1)
    }
    count(name, bytes: bytes, seconds: bytes / Self.bandwidth)
  }

  /// The parameters that are matrices, which come first but for indices.
  private func matrices(
    _ name: String, _ arguments: UnsafeMutableBufferPointer<UnsafeMutableRawPointer?>
  ) -> [Matrix] {
    guard let uses = Self.uses[name] else { return [] }
    let places =
      switch name {
      case "rotate_heads", "embedding_forward": [0, 2]
      case "square_shares": [1]
      default: Array(0..<uses.count)
      }
    return places.compactMap { arguments[$0]?.load(as: Matrix.self) }
  }

  func product(_ product: GPUProduct) {
    func bytes(_ view: View) -> Double { Double(view.count * view.buffer.type.bytes) }
    let (c, parts) = (product.c, product.parts)
    let bytes =
      bytes(product.a.view) + bytes(product.b.view) + (product.accumulate ? 2 : 1) * bytes(c)
    let flops = 2 * Double(c.count) * Double(product.depth)
    func tiles(_ high: Int, _ wide: Int) -> Int {
      parts * ((product.rows + high - 1) / high) * ((c.columns + wide - 1) / wide)
    }
    let isSingle = product.a.view.buffer.type == .float32
    let blocks = Double(isSingle ? tiles(128, 128) : min(tiles(128, 256), tiles(256, 128)))
    let busy = blocks / (132 * (blocks / 132).rounded(.up))
    let name =
      "product\(parts > 1 ? " \(parts) of" : "") [\(product.rows), \(product.depth)]"
      + "\(product.a.isTransposed ? "ᵀ" : "") [\(product.depth), \(c.columns)]"
    count(
      name, bytes: bytes, flops: flops,
      seconds: max(
        bytes / Self.bandwidth, flops / ((isSingle ? Self.singleRate : Self.rate) * busy)))
  }

  func fill(_ address: UnsafeMutableRawPointer, word: UInt32, count items: Int) {
    count("fill", bytes: 4 * Double(items), seconds: 4 * Double(items) / Self.bandwidth)
  }

  func allocate(bytes: Int) throws(DeviceError) -> UnsafeMutableRawPointer {
    let map = mmap(
      nil, max(bytes, 1), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0
    )
    guard let map, map != MAP_FAILED else {
      throw .outOfMemory(device: name, bytes: bytes, held: heldBytes)
    }
    heldBytes += bytes
    mostBytes = max(mostBytes, heldBytes)
    return map
  }

  func free(_ address: UnsafeMutableRawPointer, bytes: Int) {
    heldBytes -= bytes
    munmap(address, max(bytes, 1))
  }

  func copyIn(_ source: UnsafeRawBufferPointer, to address: UnsafeMutableRawPointer) {}
  func copyOut(_ address: UnsafeRawPointer, into target: UnsafeMutableRawBufferPointer) {
    target.initializeMemory(as: UInt8.self, repeating: 0)
  }
  func fail(_ error: DeviceError) { error.endProgram() }
  func check() {}
  func synchronize() {}
}
