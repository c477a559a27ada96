import CUDASource
import Tensor

/// What one stream remembers of one layer of Combiner attention, on the card.
///
/// Segments and rows that are complete are met through their regions alone: `fixed` and `rowmajor` keep
/// the tokens of the current one. The other patterns keep all.
final class CombinerState: AttentionState {
  /// Positions seen so far.
  private(set) var length = 0
  private let shape: CombinerShape
  private let kernels: GPUKernels
  /// Queries, keys and values, then keys and values of each family of regions.
  private let memory: [GrowingRows]
  /// Of the current row, `[m, C]`, for projected addresses; made when the first one comes.
  private var input: GrowingRows?

  init(
    _ shape: CombinerShape, families: Int, _ widths: HeadWidths, on kernels: GPUKernels
  ) throws(DeviceError) {
    self.shape = shape
    self.kernels = kernels
    var memory: [GrowingRows] = []
    let (keys, values) = (shape.heads * widths.keys, shape.heads * widths.values)
    for columns in [keys, keys, values] + (0..<families).flatMap({ _ in [keys, values] }) {
      memory.append(try GrowingRows(rows: 32, columns: columns, on: kernels))
    }
    self.memory = memory
  }

  private init(copying other: CombinerState) throws(DeviceError) {
    length = other.length
    shape = other.shape
    kernels = other.kernels
    var memory: [GrowingRows] = []
    for part in other.memory { memory.append(try part.copy()) }
    self.memory = memory
    input = try other.input?.copy()
  }

  func copy() -> any AttentionState {
    do throws(DeviceError) {
      return try CombinerState(copying: self)
    } catch {
      kernels.driver.fail(error)
      return self
    }
  }

  var bytes: Int { memory.reduce(input?.bytes ?? 0) { $0 + $1.bytes } }

  /// Whether tokens before the current segment are forgotten.
  private var forgets: Bool { shape.pattern == .fixed || shape.pattern == .rowmajor }

  /// How many of the next positions can be taken in at once.
  var room: Int { forgets ? shape.segment - length % shape.segment : .max }

  /// Makes room for so many positions more, at most ``room``.
  func reserve(_ count: Int, inputWidth: Int?) throws(DeviceError) {
    let last = length + count
    let tokens = forgets ? length % shape.segment + count : last
    for part in memory.prefix(3) { try part.reserve(tokens) }
    let regions = shape.pattern == .fixed ? (last - 1) / shape.segment + 1 : last
    for part in memory.dropFirst(3) { try part.reserve(regions) }
    if let inputWidth, input == nil {
      input = try GrowingRows(rows: 32, columns: inputWidth, on: kernels)
    }
    try input?.reserve(tokens)
  }

  /// Where the first position of the stream is in the memory of each kind, or would be.
  var places: [UnsafeMutableRawPointer?] {
    let first = forgets ? length % shape.segment - length : 0
    let tokens = memory.prefix(3).map { Optional($0.place(first)) }
    let regions = memory.dropFirst(3).map { Optional($0.place(0)) }
    return tokens + regions + (input.map { [$0.place(first)] } ?? [])
  }

  /// Goes on by positions that have been taken in.
  func advance(_ count: Int) { length += count }

  /// Whether one of the next positions is the last of a segment.
  func completesSegment(_ count: Int) -> Bool { (length + count) % shape.segment < count }

  /// Inputs, values and keys of the last complete row, whose addresses are to be made.
  var completeRow: (input: View, values: View, keys: View)? {
    guard let input, length % shape.segment == 0 else { return nil }
    let rows = length - shape.segment..<length
    return (
      input.view.rows(0..<shape.segment), memory[4].view.rows(rows), memory[3].view.rows(rows)
    )
  }
}
