import CUDASource
import Tensor

/// New positions of streams, appended to their pasts.
///
/// What kernels are told, the places of streams and lists of tiles, goes to the card in one copy a step.
struct DecodingSteps {
  /// The new positions of one stream, and the stream as a sequence whose start is its number.
  struct Stream {
    let sequence: TiledSequence
    let rows: Range<Int>
  }

  let streams: [Stream]
  private let kernels: GPUKernels
  private let tensors: AttentionTensors
  private let states: [StreamState]
  private let pasts: [AttentionStream]
  private let rows: [AttentionRow]

  /// Nil if there is nothing to do or no room; the driver knows.
  ///
  /// - Parameters:
  ///   - kernels: Of the card.
  ///   - tensors: A row for every position.
  ///   - states: One for every row, or one for all.
  ///   - meansAreFloat: As in ``StreamState/reserve(_:like:meansAreFloat:)``.
  init?(
    _ kernels: GPUKernels, _ tensors: AttentionTensors, _ states: [any AttentionState],
    meansAreFloat: Bool
  ) {
    let count = tensors.q.rows
    precondition(
      states.count == count || states.count == 1, "\(states.count) states, \(count) rows")
    guard count > 0 else { return nil }
    let each = states.count == 1 ? count : 1
    self.kernels = kernels
    self.tensors = tensors
    self.states = states.map {
      guard let state = $0 as? StreamState else { preconditionFailure("a state of another kind") }
      return state
    }
    var streams: [Stream] = []
    var pasts: [AttentionStream] = []
    var rows: [AttentionRow] = []
    for (number, state) in self.states.enumerated() {
      // Rows of tensors before the first one of a stream stand for positions that nobody asks for.
      guard state.reserve(each, like: tensors, meansAreFloat: meansAreFloat) else { return nil }
      let positions = state.length..<state.length + each
      var past = state.stream
      let before = number * each - positions.lowerBound
      past.o = tensors.o.address(ofRow: before)
      if !state.keepsQueries { past.q = tensors.q.address(ofRow: before) }
      pasts.append(past)
      streams.append(
        Stream(
          sequence: TiledSequence(start: number, length: positions.upperBound), rows: positions))
      for position in positions {
        rows.append(
          AttentionRow(
            start: Int32(number), length: Int32(position + 1), position: Int32(position)))
      }
    }
    (self.streams, self.pasts, self.rows) = (streams, pasts, rows)
  }

  private var first: StreamState { states[0] }

  /// What all streams share.
  func arguments(bias: View?, heads: Int, scale: Float) -> AttentionArguments {
    precondition(
      [tensors.q, tensors.o].allSatisfy { $0.matrix.aligned == 1 },
      "queries and outputs of steps begin on 16 bytes")
    var arguments = AttentionArguments(tensors, bias: bias, heads: heads, scale: scale)
    if first.keepsQueries { arguments.qStride = Int32(tensors.q.columns) }
    arguments.kStride = Int32(tensors.k.columns)
    arguments.vStride = Int32(tensors.v.columns)
    return arguments
  }

  /// Where kernels find what they are told.
  struct Placed {
    fileprivate(set) var tiles: UnsafeMutableRawPointer
    fileprivate(set) var streams: UnsafeMutableRawPointer
    fileprivate(set) var rows: UnsafeMutableRawPointer

    subscript(_ list: TileLists.List) -> (address: UnsafeMutableRawPointer, count: Int) {
      (tiles + list.first * MemoryLayout<AttentionTile>.stride, list.count)
    }
  }

  /// Appends the rows and calls `body`, which asks for work on them.
  ///
  /// - Parameters:
  ///   - tiles: Lists of tiles, if there are any.
  ///   - body: Asks for the work.
  func run(_ tiles: [AttentionTile] = [], _ body: (Placed) -> Void) {
    var bytes: [UInt8] = []
    func append(_ values: [some BitwiseCopyable]) -> Int {
      bytes += [UInt8](repeating: 0, count: (16 - bytes.count % 16) % 16)
      let place = bytes.count
      values.withUnsafeBytes { bytes += $0 }
      return place
    }
    let places = (append(pasts), append(rows), append(tiles))
    kernels.scratch.lend([bytes.count]) { parts in
      if GPUScratch.recorder == nil {
        bytes.withUnsafeBytes { kernels.driver.copyIn($0, to: parts[0]) }
      }
      let placed = Placed(
        tiles: parts[0] + places.2, streams: parts[0] + places.0, rows: parts[0] + places.1)
      appendRows(placed.streams, placed.rows)
      body(placed)
    }
    for (state, stream) in zip(states, streams) { state.advance(by: stream.rows.count) }
  }

  private func appendRows(_ streams: UnsafeMutableRawPointer, _ rows: UnsafeMutableRawPointer) {
    let eights = max(tensors.k.columns + 7, tensors.v.columns + 7) / 8
    var grid = GPUGrid.threads(tensors.q.rows * eights)
    grid = GPUGrid(grid.x, 1, first.keepsQueries ? 3 : 2)
    kernels.driver.launch(
      GPUKernel("attention/append", "append_rows"), grid: grid, tensors.k.matrix,
      tensors.v.matrix, tensors.q.matrix, streams, rows)
  }

  /// The same for shapes that tiles do not take: means level by level, then the rows.
  func runPlain(_ shape: PlainShape, bias: View?) {
    guard var arguments = first.plainArguments(tensors, bias: bias, shape) else { return }
    let widths = HeadWidths(tensors, heads: shape.heads, group: shape.group)
    run { placed in
      arguments.streams = placed.streams
      arguments.rows = placed.rows
      let longest = self.streams.map(\.rows.upperBound).max() ?? 0
      PlainAttentionPass.launchForward(
        kernels, arguments, rows: tensors.q.rows, widths,
        top: first.keepsMeans ? longest.bitWidth - 1 - longest.leadingZeroBitCount : 0)
    }
  }
}

extension View {
  /// Where a row is, or would be if the matrix began earlier.
  fileprivate func address(ofRow row: Int) -> UnsafeMutableRawPointer {
    address + row * stride * buffer.type.bytes
  }
}
