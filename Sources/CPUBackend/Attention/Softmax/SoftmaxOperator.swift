import Deterministic
import Host
package import Tensor

/// Causal softmax attention by tiles, never an L×L buffer.
///
/// Saved for the backward pass: o and lse, as in FlashAttention (Dao and others, 2022, arXiv
/// 2205.14135). Row i depends, bit for bit, on rows 0...i of its own sequence alone: key tiles are
/// cut from the start of the sequence and every sum runs in the order of the keys.
extension CPUKernels: SoftmaxAttentionKernels {
  package func softmaxAttention(_ shape: SoftmaxShape) -> any AttentionOperator {
    SoftmaxOperator(heads: shape.heads, group: shape.group, scale: shape.scale)
  }
}

/// Softmax attention of this processor.
struct SoftmaxOperator: AttentionOperator {
  let heads: Int
  /// Heads of queries that share a head of keys and values in a stream.
  let group: Int
  let scale: Float

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    let (q, k, v, o, lse) = (tensors.q, tensors.k, tensors.v, tensors.o, tensors.saved)
    let (bias, starts) = (tensors.bias, pass.sequences.starts)
    let shape = checkedShape(o, lse, q, k, v, starts: starts, heads: heads)
    precondition(bias == nil || bias?.rows == heads, "bias must be [heads, distances]")
    let tasks = AttentionTasks(starts: starts, heads: heads)
    parallelFor(tasks.count) { task in
      let head = tasks.head(task)
      Scratch.lend(carving: { scratch in
        let table = SoftmaxBias(bias, head: head, withGradient: false, &scratch)
        return SoftmaxForward(shape, longest: tasks.longest, bias: table, &scratch)
      }) { pass in
        pass.bias.fill()
        for sequence in tasks.group(task) {
          let first = starts[sequence]
          let length = starts[sequence + 1] - first
          if length == 0 { continue }
          let rows = HeadView(first: first, head: head)
          pass.pack(rows.keys(k, shape), rows.values(v, shape), length: length)
          pass.run(
            rows.values(o, shape), lse: lse.base + head * lse.stride + first,
            rows.keys(q, shape), length: length, scale: scale)
        }
      }
    }
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    let (q, k, v, o, lse) = (tensors.q, tensors.k, tensors.v, tensors.o, tensors.saved)
    let (bias, starts) = (tensors.bias, pass.sequences.starts)
    let (dq, dk, dv, dO) = (gradients.dq, gradients.dk, gradients.dv, gradients.dO)
    let dBias = gradients.dBias
    let shape = checkedShape(o, lse, q, k, v, starts: starts, heads: heads)
    precondition(dBias == nil || bias != nil, "gradient of a bias that is not there")
    let tasks = AttentionTasks(starts: starts, heads: heads)
    let distances = bias?.columns ?? 1
    Scratch.lend(carving: { PartialSums(count: tasks.count, width: distances, &$0) }) { partials in
      partials.clear()
      parallelFor(tasks.count) { task in
        let head = tasks.head(task)
        Scratch.lend(carving: { scratch in
          (
            SoftmaxBias(bias, head: head, withGradient: dBias != nil, &scratch),
            AttentionGradientRows(shape, longest: tasks.longest, &scratch),
            AttentionBackwardTile(shape, &scratch)
          )
        }) { table, rows, tile in
          table.fill()
          for sequence in tasks.group(task) {
            let first = starts[sequence]
            let length = starts[sequence + 1] - first
            if length == 0 { continue }
            rows.pack(
              q, k, v, dO, o, lse, head: head, first: first, range: 0..<length, scale: scale)
            softmaxBackward(rows, tile, table, length: length)
            rows.write(dq, dk, dv, head: head, first: first, length: length, scale: scale)
          }
          table.finishGradient(partials[task])
        }
      }
      if let dBias { partials.add(to: dBias, heads: heads) }
    }
  }

  private func softmaxBackward(
    _ all: AttentionGradientRows, _ tile: AttentionBackwardTile, _ bias: SoftmaxBias, length: Int
  ) {
    var row = 0
    while row < length {
      let rows = all.rows(from: row, count: min(AttentionTile.backwardRows, length - row))
      tile.pack(rows)
      tile.accumulate(
        rows, all.range(from: 0, count: row + rows.count), bias: bias.lanes(row: row),
        mask: .causal(offset: row))
      row += rows.count
    }
  }
}

/// Bias of one head by distance, clipped, or none.
struct SoftmaxBias {
  private let bias: UnsafePointer<Float>?  // [distances]
  private let table: UnsafeMutablePointer<Float>  // [16 + distances + 16]
  private let gradient: UnsafeMutablePointer<Float>?  // [16 + distances, 16]
  private let distances: Int

  init(_ bias: View?, head: Int, withGradient: Bool, _ scratch: inout Scratch) {
    self.bias = bias.map { UnsafePointer($0.base + head * $0.stride) }
    distances = bias?.columns ?? 1
    table = scratch.take(distances + 32)
    gradient = withGradient ? scratch.take(16 * (distances + 16)) : nil
  }

  /// Fills the table and clears the gradient.
  func fill() {
    if let bias { fillBiasTable(table, bias, count: distances, offset: 0) }
    gradient?.update(repeating: 0, count: 16 * (distances + 16))
  }

  func finishGradient(_ destination: UnsafeMutablePointer<Float>) {
    if let gradient { foldBiasGradient(destination, gradient, count: distances) }
  }

  /// The bias of rows from `row` on against keys from 0 on.
  func lanes(row: Int) -> LaneBias {
    if bias == nil { return .none }
    return LaneBias(
      table: table + 16, gradient: gradient.map { $0 + 256 }, step: 1, origin: 0, start: row,
      shift: 0, last: distances - 1)
  }
}

/// Forward pass over one sequence and head.
private struct SoftmaxForward {
  let shape: HeadShape
  let keys: UnsafeMutablePointer<Float>
  let values: UnsafeMutablePointer<Float>
  let panel: AttentionPanel
  let bias: SoftmaxBias

  init(_ shape: HeadShape, longest: Int, bias: SoftmaxBias, _ scratch: inout Scratch) {
    self.shape = shape
    keys = scratch.take(longest * shape.keyStride)
    values = scratch.take(longest * shape.valueStride)
    panel = AttentionPanel(shape, &scratch)
    self.bias = bias
  }

  func pack(_ k: StridedRows, _ v: StridedRows, length: Int) {
    packRows(
      keys, stride: shape.keyStride, k.base, sourceStride: k.stride, rows: length,
      width: shape.keyWidth)
    packRows(
      values, stride: shape.valueStride, v.base, sourceStride: v.stride, rows: length,
      width: shape.valueWidth)
  }

  func run(
    _ o: StridedRows, lse: UnsafeMutablePointer<Float>, _ q: StridedRows, length: Int,
    scale: Float
  ) {
    var row = 0
    while row < length {
      let rows = min(16, length - row)
      packTransposed(
        panel.queries, q[row], sourceStride: q.stride, rows: rows, width: shape.keyWidth,
        scale: scale)
      panel.reset()
      panel.attend(
        keys: keys, valueRows: values, count: min(row + 16, length), bias: bias.lanes(row: row),
        mask: .causal(offset: row), rows: rows)
      panel.finish(o: o[row], stride: o.stride, lse: lse + row, rows: rows)
      row += 16
    }
  }
}

/// Widths of one head, after checking that the shapes of all views agree.
func checkedShape(
  _ o: View, _ lse: View, _ q: View, _ k: View, _ v: View, starts: [Int], heads: Int
) -> HeadShape {
  precondition(heads > 0 && q.columns % heads == 0 && v.columns % heads == 0, "\(heads) heads")
  precondition(q.columns == k.columns && v.columns == o.columns, "widths of q, k or v, o differ")
  let shape = HeadShape(keyWidth: q.columns / heads, valueWidth: v.columns / heads)
  let positions = starts.last ?? 0
  precondition(
    min(min(q.rows, k.rows), min(v.rows, o.rows)) >= positions && lse.rows >= heads
      && lse.columns >= positions, "\(positions) positions do not fit")
  return shape
}
