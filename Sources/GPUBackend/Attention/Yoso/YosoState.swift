import CUDASource
import Tensor

/// What one stream remembers of one layer of YOSO attention, on the card.
///
/// Sampled weights need one table of sums for every hash, constant in length. The hybrid also keeps the
/// current chunk, the expectation all keys and values.
final class YosoState: AttentionState {
  /// Positions seen so far.
  var length = 0
  /// The same for the life of the stream, and shared by its copies.
  let planes: View?
  /// Tables, keys, values, 1 / norms of keys and codes of keys, as `yoso_step` takes them.
  private let memory: [GrowingRows?]
  private let kernels: GPUKernels

  init(
    _ shape: YosoShape, _ widths: HeadWidths, planes: View?, on kernels: GPUKernels
  ) throws(DeviceError) {
    self.planes = planes
    self.kernels = kernels
    var memory: [GrowingRows?] = []
    memory.append(
      shape.isRandom
        ? try GrowingRows(
          rows: shape.heads * shape.hashes << shape.bits, columns: widths.values, on: kernels)
        : nil)
    let rows = shape.estimate == .hybrid ? shape.chunk : 64
    let codes = shape.estimate == .hybrid ? shape.hashes : 0
    for width in [widths.keys, widths.values, 1, codes] {
      let isKept = shape.estimate != .sampled && width > 0
      memory.append(
        isKept
          ? try GrowingRows(rows: rows, columns: shape.heads * width, on: kernels) : nil)
    }
    self.memory = memory
  }

  private init(copying other: YosoState) throws(DeviceError) {
    length = other.length
    planes = other.planes
    kernels = other.kernels
    var memory: [GrowingRows?] = []
    for part in other.memory { memory.append(try part?.copy()) }
    self.memory = memory
  }

  func copy() -> any AttentionState {
    do throws(DeviceError) {
      return try YosoState(copying: self)
    } catch {
      kernels.driver.fail(error)
      return self
    }
  }

  /// Hyperplanes are shared by copies and not counted.
  var bytes: Int { memory.reduce(0) { $0 + ($1?.bytes ?? 0) } }

  /// Makes room for so many near positions.
  func reserve(_ near: Int) throws(DeviceError) {
    for part in memory.dropFirst() { try part?.reserve(near) }
  }

  var places: [UnsafeMutableRawPointer?] { memory.map { $0?.place(0) } }
}

extension YosoOperator {
  func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) throws(DeviceError) -> any AttentionState {
    try YosoState(
      shape, widths, planes: planes(width: widths.keys, layer: layer, draw: draw), on: kernels)
  }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    let streams = states.map { state in
      guard let state = state as? YosoState else { preconditionFailure("state of another kind") }
      return state
    }
    let rows = tensors.q.rows
    guard rows > 0, let first = streams.first else { return }
    precondition(
      streams.count == 1 || streams.count == rows, "\(streams.count) states, \(rows) rows")
    do throws(DeviceError) {
      for stream in streams {
        try stream.reserve(
          shape.estimate == .expectation
            ? stream.length + rows / streams.count : shape.chunk)
      }
    } catch {
      return kernels.driver.fail(error)
    }
    // Streams of one draw share their planes; those of another one go by themselves.
    let sharePlanes = streams.allSatisfy { $0.planes?.address == first.planes?.address }
    guard sharePlanes else {
      for (row, stream) in streams.enumerated() { step(tensors.rows(row..<row + 1), [stream]) }
      return
    }
    let each = rows / streams.count
    let (keys, values) = (
      tensors.q.columns / shape.heads, tensors.v.columns / shape.heads
    )
    let block = GPUKernels.WarpBlock(
      keys: max(keys, values), values: values, more: 2 * sideBytes)
    let positions = streams.flatMap { stream in (0..<each).map { stream.length + $0 } }
    kernels.withRows(positions: positions, places: streams.map(\.places)) { rows in
      kernels.driver.launch(
        GPUKernel("yoso/attention", "yoso_step"),
        grid: block.grid(streams.count, heads: shape.heads), block: block.threads,
        sharedBytes: block.sharedBytes, rows, parameters, tensors.q.matrix, tensors.k.matrix,
        tensors.v.matrix, tensors.o.matrix, first.planes?.address, Int32(streams.count),
        Int32(each))
    }
    for stream in streams { stream.length += each }
  }
}
