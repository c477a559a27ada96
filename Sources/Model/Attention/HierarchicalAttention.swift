package import Tensor

/// Causal hierarchical attention; its cache is two blocks of keys and values per level.
package struct HierarchicalAttention: AttentionMechanism {
  let heads: Int
  let headWidth: Int
  let scale: Float
  let blockSize: Int
  let fineQuery: Bool
  package let biasLength: Int?
  /// Stands in for the learned table when positions come from elsewhere.
  private let zeroBias: View

  init(_ config: ModelConfig, blockSize: Int, fineQuery: Bool) {
    heads = config.heads
    headWidth = config.headWidth
    scale = config.attentionScale
    self.blockSize = blockSize
    self.fineQuery = fineQuery
    biasLength = config.position == .relativeBias ? 2 * blockSize : nil
    zeroBias = View(rows: config.heads, columns: 2 * blockSize)
  }

  package func forward(_ t: AttentionTensors, starts: [Int], kernels: any Kernels) {
    kernels.hierarchicalAttentionForward(
      o: t.o, lse: t.lse, q: t.q, k: t.k, v: t.v, bias: t.bias ?? zeroBias, starts: starts,
      heads: heads, scale: scale, blockSize: blockSize, fineQuery: fineQuery)
  }

  package func backward(
    _ t: AttentionTensors, _ d: AttentionGradients, starts: [Int], kernels: any Kernels
  ) {
    kernels.hierarchicalAttentionBackward(
      dq: d.dq, dk: d.dk, dv: d.dv,
      dBias: d.dBias ?? View(rows: heads, columns: 2 * blockSize), dO: d.dO, o: t.o, lse: t.lse,
      q: t.q, k: t.k, v: t.v, bias: t.bias ?? zeroBias, starts: starts, heads: heads,
      scale: scale, blockSize: blockSize, fineQuery: fineQuery)
  }

  package func makeCache() -> any AttentionCache {
    HierarchicalCache(
      HierarchicalDecodeState(
        heads: heads, keyWidth: headWidth, valueWidth: headWidth, blockSize: blockSize,
        fineQuery: fineQuery),
      scale: scale, zeroBias: zeroBias)
  }

  /// `docs/hierarchical-attention.md`, Computation; counted pair by pair, so it holds for every
  /// length.
  package func scoredPairs(length: Int) -> Double {
    let blocks = (length + blockSize - 1) / blockSize
    var pairs = 0
    for block in 0..<blocks {
      let rows = min(blockSize, length - block * blockSize)
      pairs += rows * (rows + 1) / 2 + (block > 0 ? rows * blockSize : 0)
    }
    var level = 1
    while (blocks - 1) >> level >= 1 {
      // Rows of this level from its second block on; a row r sees half a block or a whole one.
      let group = 1 << level
      let queries = fineQuery ? length : (length + group - 1) >> level
      let perRow = fineQuery ? group : 1
      let blockRows = blockSize * perRow
      let full = queries / blockRows
      let rest = queries - full * blockRows
      let half = blockRows / 2
      func seen(_ rows: Int) -> Int {
        min(rows, half) * (blockSize / 2) + max(0, rows - half) * blockSize
      }
      pairs += max(0, full - 1) * seen(blockRows) + (full >= 1 ? seen(rest) : 0)
      level += 1
    }
    return Double(pairs)
  }
}

private final class HierarchicalCache: AttentionCache {
  private var state: HierarchicalDecodeState
  private let scale: Float
  private let zeroBias: View

  init(_ state: HierarchicalDecodeState, scale: Float, zeroBias: View) {
    self.state = state
    self.scale = scale
    self.zeroBias = zeroBias
  }

  var bytes: Int { state.bytes }

  func step(o: View, q: View, k: View, v: View, bias: View?, kernels: any Kernels) {
    state.step(o: o, q: q, k: k, v: v, bias: bias ?? zeroBias, scale: scale)
  }

  func copy() -> any AttentionCache {
    HierarchicalCache(state.copy(), scale: scale, zeroBias: zeroBias)
  }
}
