import CUDASource
import Tensor

/// Queries, keys, values and their means of one stream's past in one layer, on the card.
///
/// Matrices are doubled when they are full. Means of a level are rows of a matrix that no longer past
/// moves (`attention/hierarchical.h`).
final class StreamState: AttentionState {
  /// Matrices of as many rows as there is room for positions.
  private struct Memory {
    var q: View?
    var k: View
    var v: View
    var keyMeans: View?
    var valueMeans: View?

    var views: [View] { [q, k, v, keyMeans, valueMeans].compactMap { $0 } }
  }

  private let kernels: GPUKernels
  let keepsQueries: Bool
  let keepsMeans: Bool
  private var memory: Memory?
  /// Positions so far.
  private(set) var length = 0

  /// - Parameters:
  ///   - kernels: Of the card.
  ///   - keepsQueries: Whether later positions ask with earlier queries.
  ///   - keepsMeans: Whether there are means of keys and values.
  init(_ kernels: GPUKernels, keepsQueries: Bool, keepsMeans: Bool) {
    self.kernels = kernels
    self.keepsQueries = keepsQueries
    self.keepsMeans = keepsMeans
  }

  var bytes: Int { memory?.views.reduce(0) { $0 + $1.buffer.bytes } ?? 0 }

  func copy() -> any AttentionState {
    let other = StreamState(kernels, keepsQueries: keepsQueries, keepsMeans: keepsMeans)
    other.length = length
    if let memory { other.memory = duplicate(memory, capacity: memory.k.rows) }
    return other
  }

  /// Makes room for positions.
  ///
  /// - Parameters:
  ///   - count: How many.
  ///   - tensors: Their rows, for widths and types.
  ///   - meansAreFloat: Whether means are kept in single precision, whatever keys are.
  /// - Returns: False if the card has none; the driver knows.
  func reserve(_ count: Int, like tensors: AttentionTensors, meansAreFloat: Bool) -> Bool {
    let need = length + count
    if let memory, memory.k.rows >= need { return true }
    if let old = memory {
      memory = duplicate(old, capacity: max(need, 2 * old.k.rows))
    } else {
      memory = kernels.attempt { () throws(DeviceError) in
        func make(_ view: View, isFloat: Bool = false) throws(DeviceError) -> View {
          try matrix(
            rows: max(need, 64), columns: view.columns,
            type: isFloat ? .float32 : view.buffer.type)
        }
        return Memory(
          q: keepsQueries ? try make(tensors.q) : nil, k: try make(tensors.k),
          v: try make(tensors.v),
          keyMeans: keepsMeans ? try make(tensors.k, isFloat: meansAreFloat) : nil,
          valueMeans: keepsMeans ? try make(tensors.v, isFloat: meansAreFloat) : nil)
      }
    }
    return memory != nil
  }

  /// Positions have been written.
  func advance(by count: Int) { length += count }

  /// Where the past is, but for queries and outputs of the rows that are asked for.
  var stream: AttentionStream {
    var stream = AttentionStream()
    stream.q = memory?.q?.address
    stream.k = memory?.k.address
    stream.v = memory?.v.address
    stream.keyMeans = memory?.keyMeans?.address
    stream.valueMeans = memory?.valueMeans?.address
    stream.first = Int64(length)
    return stream
  }

  /// Matrices of keys, values and means as kernels of any shape take them, whose addresses are those of
  /// this stream.
  var matrices: (k: View, v: View, keyMeans: View?, valueMeans: View?)? {
    memory.map { ($0.k, $0.v, $0.keyMeans, $0.valueMeans) }
  }

  private func matrix(rows: Int, columns: Int, type: NumberType) throws(DeviceError) -> View {
    try kernels.makeView(
      rows: rows, columns: columns, for: type == .float32 ? .master : .compute)
  }

  private func duplicate(_ old: Memory, capacity: Int) -> Memory? {
    kernels.attempt { () throws(DeviceError) in
      func grow(_ view: View) throws(DeviceError) -> View {
        let new = try matrix(rows: capacity, columns: view.columns, type: view.buffer.type)
        if length > 0 { kernels.copy(view.rows(0..<length), to: new.rows(0..<length)) }
        return new
      }
      func growIfKept(_ view: View?) throws(DeviceError) -> View? {
        guard let view else { return nil }
        return try grow(view)
      }
      return Memory(
        q: try growIfKept(old.q), k: try grow(old.k), v: try grow(old.v),
        keyMeans: try growIfKept(old.keyMeans), valueMeans: try growIfKept(old.valueMeans))
    }
  }
}
