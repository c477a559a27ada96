import CUDASource
import Tensor

/// Decoding: the kernels of the full pass on the memory of each stream.
extension CombinerOperator {
  func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) throws(DeviceError) -> any AttentionState {
    try CombinerState(shape, families: familyCount, widths, on: kernels)
  }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    let streams = states.map { state in
      guard let state = state as? CombinerState else {
        preconditionFailure("state of another kind")
      }
      return state
    }
    let rows = tensors.q.rows
    precondition(
      streams.count == 1 || streams.count == rows, "\(streams.count) states, \(rows) rows")
    guard let only = streams.first, streams.count == 1 else {
      return step(tensors, streams, each: 1)
    }
    var first = 0
    while first < rows {
      let count = min(rows - first, only.room)
      step(tensors.rows(first..<first + count), [only], each: count)
      first += count
    }
  }

  /// Takes in `each` positions of every stream, none past the end of a segment that is forgotten.
  private func step(_ tensors: AttentionTensors, _ streams: [CombinerState], each: Int) {
    guard !streams.isEmpty, each > 0 else { return }
    do throws(DeviceError) {
      for stream in streams { try stream.reserve(each, inputWidth: tensors.input?.columns) }
    } catch {
      return kernels.driver.fail(error)
    }
    let positions = streams.flatMap { stream in (0..<each).map { stream.length + $0 } }
    let places = streams.flatMap { stream in Array(repeating: stream.places, count: each) }
    kernels.withRows(positions: positions, places: places) { rows in
      append(tensors, rows)
      let completes = streams.contains { $0.completesSegment(each) }
      attend(tensors, rows, count: positions.count, completes: completes)
    }
    for stream in streams { stream.advance(each) }
    guard shape.needsProjection else { return }
    for stream in streams {
      if let row = stream.completeRow { address(row, tensors.own) }
    }
  }

  private func append(_ tensors: AttentionTensors, _ rows: AttentionRows) {
    let parts = [(tensors.q, 0), (tensors.k, 1), (tensors.v, 2)]
    for (view, kind) in parts + (tensors.input.map { [($0, 3 + 2 * familyCount)] } ?? []) {
      kernels.driver.launch(
        GPUKernel("combiner/attention", "append_rows"), grid: .threads(view.count), rows,
        view.matrix, Int32(kind))
    }
  }

  private func attend(
    _ tensors: AttentionTensors, _ rows: AttentionRows, count: Int, completes: Bool
  ) {
    let (keys, values) = (tensors.q.columns, tensors.v.columns)
    let block = GPUKernels.WarpBlock(keys: keys / shape.heads, values: values / shape.heads)
    let key = Matrix.elsewhere(columns: keys)
    let value = Matrix.elsewhere(columns: values)
    var region = CombinerFamily.none
    (region.keys, region.values) = (key, value)
    let all = CombinerTensors(
      q: key, k: key, v: value, Array(repeating: region, count: familyCount))
    for family in 0..<familyCount {
      // Regions that are complete with a segment, all together, or one with every position.
      let isWhole = shape.pattern == .rowmajor || family > 0
      if (isWhole || shape.pattern == .fixed) && !completes { continue }
      let tasks = isWhole ? shape.segment : 1
      kernels.driver.launch(
        GPUKernel("combiner/attention", "combiner_summaries"),
        grid: block.grid(count * tasks, heads: shape.heads), block: block.threads,
        sharedBytes: block.sharedBytes, rows, parameters(), all, Int32(family), Int32(count),
        Int32(tasks))
    }
    kernels.driver.launch(
      GPUKernel("combiner/attention", "combiner_forward"),
      grid: block.grid(count, heads: shape.heads), block: block.threads,
      sharedBytes: block.sharedBytes, rows, parameters(), all, tensors.o.matrix, Matrix.none,
      Int32(count))
  }

  private func address(_ row: (input: View, values: View, keys: View), _ own: [View]) {
    let projection = CombinerProjection(input: row.input, own: own)
    CombinerAddresses.lend(projection, rows: row.input.rows, on: kernels) { addresses in
      addresses.forward(values: row.values, keys: row.keys)
    }
  }
}
