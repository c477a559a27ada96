import CUDASource
import Tensor

/// One forward or backward pass: its tensors, and the memory of its regions.
struct CombinerPass {
  let rows: AttentionRows
  let positions: Int
  /// Whether a sequence is longer than a segment.
  let hasRegions: Bool
  private let own: CombinerOperator
  private let views: AttentionTensors
  private let block: GPUKernels.WarpBlock

  private var shape: CombinerShape { own.shape }
  private var kernels: GPUKernels { own.kernels }

  init(_ own: CombinerOperator, _ tensors: AttentionTensors, _ pass: AttentionPass) {
    let (heads, q, v) = (own.shape.heads, tensors.q, tensors.v)
    precondition(
      q.columns % heads == 0 && tensors.k.columns == q.columns && v.columns % heads == 0
        && tensors.o.columns == v.columns,
      "widths of q, k, v or o do not fit \(heads) heads")
    precondition(
      pass.sequences.count == q.rows && tensors.saved.rows >= heads
        && tensors.saved.columns == q.rows,
      "saved [\(tensors.saved.rows), \(tensors.saved.columns)] for \(q.rows) rows")
    precondition(
      own.shape.needsProjection == !tensors.own.isEmpty, "weights of another attention")
    self.own = own
    views = tensors
    positions = q.rows
    rows = own.kernels.rows(pass.sequences)
    block = GPUKernels.WarpBlock(keys: q.columns / heads, values: v.columns / heads)
    let starts = pass.sequences.starts
    let longest = zip(starts, starts.dropFirst()).map { $1 - $0 }.max() ?? 0
    hasRegions = longest > (own.shape.pattern == .logsparse ? 1 : own.shape.segment)
  }

  /// A warp for every position and head.
  func launch<each Value: BitwiseCopyable>(
    _ file: String, _ name: String, _ values: repeat each Value
  ) {
    kernels.driver.launch(
      GPUKernel(file, name), grid: block.grid(positions, heads: shape.heads),
      block: block.threads, sharedBytes: block.sharedBytes, repeat each values)
  }

  // MARK: Regions

  /// Numbers of a family's memory, in the order of ``families(_:)``; ten for each.
  func familyShapes(isBackward: Bool) -> [(rows: Int, columns: Int)] {
    guard hasRegions else { return [] }
    let (keys, values) = ((positions, views.q.columns), (positions, views.v.columns))
    let (row, nothing) = ((shape.heads, positions), (0, 0))
    let isPooled = shape.pattern != .rowmajor
    let hasWinners = isPooled && shape.pooling == .max
    let one =
      !isBackward
      ? [keys, values] + Array(repeating: nothing, count: 8)
      : [
        keys, values, isPooled ? keys : nothing, row, row, keys, values, keys,
        hasWinners ? keys : nothing, hasWinners ? keys : nothing,
      ]
    return (0..<own.familyCount).flatMap { _ in one }
  }

  /// The memory of one family of regions.
  struct Family {
    let keys: View
    let values: View
    let dKeys: View
    let dValues: View
    let all: CombinerFamily
  }

  func families(_ parts: [View]) -> [Family] {
    stride(from: 0, to: parts.count, by: 10).map { first in
      let own = Array(parts[first..<first + 10])
      func matrix(_ part: Int) -> Matrix { own[part].count > 0 ? own[part].matrix : .none }
      func winners(_ part: Int) -> UnsafeMutablePointer<Int32>? {
        own[part].count > 0 ? own[part].address.assumingMemoryBound(to: Int32.self) : nil
      }
      return Family(
        keys: own[0], values: own[1], dKeys: own[5], dValues: own[6],
        all: CombinerFamily(
          keys: matrix(0), values: matrix(1), queries: matrix(2), lse: matrix(3), dots: matrix(4),
          dKeys: matrix(5), dValues: matrix(6), dQueries: matrix(7), queryWinners: winners(8),
          keyWinners: winners(9)))
    }
  }

  func tensors(_ families: [Family]) -> CombinerTensors {
    CombinerTensors(
      q: views.q.matrix, k: views.k.matrix, v: views.v.matrix, families.map(\.all))
  }

  /// Fills keys and values of all regions.
  func summarise(_ families: [Family], _ addresses: CombinerAddresses?) {
    let all = tensors(families)
    for family in families.indices {
      launch(
        "combiner/attention", "combiner_summaries", rows, own.parameters(), all, Int32(family),
        Int32(positions), Int32(1))
    }
    if let addresses, let family = families.first {
      addresses.forward(values: family.values, keys: family.keys)
    }
  }

  /// Calls `body` with memory for projected addresses, or nil if there are none.
  func withAddresses(_ body: (CombinerAddresses?) -> Void) {
    guard let projection = CombinerProjection(views) else { return body(nil) }
    CombinerAddresses.lend(projection, rows: positions, on: kernels, body)
  }
}

extension CombinerFamily {
  /// No regions.
  static var none: CombinerFamily {
    CombinerFamily(
      keys: .none, values: .none, queries: .none, lse: .none, dots: .none, dKeys: .none,
      dValues: .none, dQueries: .none, queryWinners: nil, keyWinners: nil)
  }
}

extension CombinerTensors {
  init(q: Matrix, k: Matrix, v: Matrix, _ families: [CombinerFamily]) {
    let all = families + Array(repeating: .none, count: 3 - families.count)
    self.init(q: q, k: k, v: v, families: (all[0], all[1], all[2]))
  }
}
