import Deterministic
import Host
package import Tensor

/// Causal hierarchical attention (Zhu and Soricut, 2021, arXiv 2107.11906), any length.
///
/// Level l holds means of 2^l consecutive keys and values. A query meets its own block of
/// `blockSize` keys causally and the block before in full; at each level above, the block left of
/// its own, or the first half of it where the level below has covered the rest. One softmax runs
/// over all levels, every key row counted with its multiplicity:
///
///     s(i, l, J) = scale · <q, K_l[J]> + bias[h][I - J] + l ln 2,   I = i >> l
///
/// Two departures from the published code: the maximum is each row's own, where theirs is global
/// and thereby looks into the future, and any length works without padding. A token's output does
/// not depend on the length of its sequence.
///
/// Saved for the backward pass: o and lse. Memory is linear in the length.
extension CPUKernels: HierarchicalAttentionKernels {
  package func hierarchicalAttention(
    _ shape: HierarchicalShape
  ) throws(DeviceError) -> any AttentionOperator {
    try HierarchicalOperator(shape, on: self)
  }
}

/// Hierarchical attention of this processor.
struct HierarchicalOperator: AttentionOperator {
  let heads: Int
  let scale: Float
  let blockSize: Int
  let fineQuery: Bool
  /// Stands in for a bias where there is none.
  let zeroBias: View
  /// Takes the gradient of that, which nobody reads.
  private let droppedBiasGradient: View

  init(_ shape: HierarchicalShape, on kernels: CPUKernels) throws(DeviceError) {
    heads = shape.heads
    scale = shape.scale
    blockSize = shape.blockSize
    fineQuery = shape.fineQuery
    zeroBias = try kernels.makeView(rows: heads, columns: shape.biasLength)
    droppedBiasGradient = try kernels.makeView(rows: heads, columns: shape.biasLength)
  }

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    let (q, k, v, o, lse) = (tensors.q, tensors.k, tensors.v, tensors.o, tensors.saved)
    let (bias, starts) = (tensors.bias ?? zeroBias, pass.sequences.starts)
    let shape = checkedShape(o, lse, q, k, v, starts: starts, heads: heads)
    checkHierarchy(bias, heads: heads, blockSize: blockSize)
    let tasks = AttentionTasks(starts: starts, heads: heads)
    let longest = HierarchicalLevels(length: tasks.longest, blockSize: blockSize)
    parallelFor(tasks.count) { task in
      let head = tasks.head(task)
      Scratch.lend(carving: { scratch in
        let table = HierarchicalBias(
          bias.base + head * bias.stride, longest, fineQuery: fineQuery, gradient: false, &scratch)
        return HierarchicalForward(shape, longest, table, &scratch)
      }) { pass in
        pass.bias.fill()
        for sequence in tasks.group(task) {
          let first = starts[sequence]
          let length = starts[sequence + 1] - first
          if length == 0 { continue }
          let rows = HeadView(first: first, head: head)
          pass.run(
            o: rows.values(o, shape), lse: lse.base + head * lse.stride + first,
            q: rows.keys(q, shape), k: rows.keys(k, shape), v: rows.values(v, shape),
            HierarchicalLevels(length: length, blockSize: blockSize), scale: scale,
            fineQuery: fineQuery)
        }
      }
    }
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    let (q, k, v, o, lse) = (tensors.q, tensors.k, tensors.v, tensors.o, tensors.saved)
    let (bias, starts) = (tensors.bias ?? zeroBias, pass.sequences.starts)
    let (dq, dk, dv, dO) = (gradients.dq, gradients.dk, gradients.dv, gradients.dO)
    let dBias = gradients.dBias ?? droppedBiasGradient
    let shape = checkedShape(o, lse, q, k, v, starts: starts, heads: heads)
    checkHierarchy(bias, heads: heads, blockSize: blockSize)
    let tasks = AttentionTasks(starts: starts, heads: heads)
    let longest = HierarchicalLevels(length: tasks.longest, blockSize: blockSize)
    let width = bias.columns
    Scratch.lend(carving: { PartialSums(count: tasks.count, width: width, &$0) }) { partials in
      partials.clear()
      parallelFor(tasks.count) { task in
        let head = tasks.head(task)
        Scratch.lend(carving: { scratch in
          let table = HierarchicalBias(
            bias.base + head * bias.stride, longest, fineQuery: fineQuery, gradient: true, &scratch)
          return HierarchicalBackward(
            shape, longest, table, partials[task], fineQuery: fineQuery, &scratch)
        }) { pass in
          pass.bias.fill()
          for sequence in tasks.group(task) {
            let first = starts[sequence]
            let length = starts[sequence + 1] - first
            if length == 0 { continue }
            let rows = HeadView(first: first, head: head)
            pass.run(
              HierarchicalGradientRows(
                q: rows.keys(q, shape), k: rows.keys(k, shape), v: rows.values(v, shape),
                dO: rows.values(dO, shape), o: rows.values(o, shape),
                lse: lse.base + head * lse.stride + first, dq: rows.keys(dq, shape),
                dk: rows.keys(dk, shape), dv: rows.values(dv, shape), scale: scale),
              HierarchicalLevels(length: length, blockSize: blockSize))
          }
          pass.bias.finishGradient(partials[task])
        }
      }
      partials.add(to: dBias, heads: heads)
    }
  }

  private func checkHierarchy(_ bias: View, heads: Int, blockSize: Int) {
    precondition(blockSize >= 2 && blockSize % 2 == 0, "block size \(blockSize) must be even")
    precondition(
      bias.rows == heads && bias.columns == 2 * blockSize,
      "bias [\(bias.rows), \(bias.columns)] instead of [\(heads), \(2 * blockSize)]")
  }
}
