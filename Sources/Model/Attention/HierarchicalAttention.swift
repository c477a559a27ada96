import CPUBackend
package import Tensor

/// Which query a coarse level of hierarchical attention uses.
package enum QueryResolution: String, Codable, Sendable, CaseIterable {
  /// The query of the first token of the group, as in the published decoder.
  case coarse
  /// Every token's own query at every level.
  case fine
}

/// Options of H-Transformer-1D's attention.
package struct HierarchicalOptions: AttentionOptions {
  package static let kind = AttentionKind.hierarchical
  package static let help = [
    (key: "blockSize", meaning: "positions of a block, Nr, even (16)"),
    (key: "query", meaning: "query of the coarse levels: coarse or fine (coarse)"),
  ]

  package var blockSize = 16
  package var query = QueryResolution.coarse

  package init() {}

  private enum CodingKeys: String, CodingKey { case blockSize, query }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: CodingKeys.self)
    blockSize = try fields.decodeIfPresent(Int.self, forKey: .blockSize) ?? blockSize
    query = try fields.decodeIfPresent(QueryResolution.self, forKey: .query) ?? query
  }

  package var defaultPosition: Position { .relativeBias }

  package var biasLength: Int? { 2 * blockSize }

  package func validate(_ model: ModelConfig) throws(ModelError) {
    guard blockSize >= 2, blockSize % 2 == 0, blockSize <= 1 << 16 else {
      throw .invalid(
        "the block size of hierarchical attention is \(blockSize), expected an even number from 2 "
          + "to \(1 << 16)")
    }
    // Every level pools keys; a rotation by absolute position would cancel inside a group, so the
    // method takes its order from the bias table or from the embeddings.
    guard model.position != .rotary else {
      throw .invalid(
        "hierarchical attention pools keys, which cancels rotary positions; use "
          + "--position relativeBias (its default) or sinusoidal")
    }
    guard model.position != .relativeBias || model.relativeBiasLength == 2 * blockSize else {
      throw .invalid(
        "hierarchical attention with blocks of \(blockSize) needs a relative bias of "
          + "\(2 * blockSize) distances, found \(model.relativeBiasLength)")
    }
  }

  package func mechanism(_ model: ModelConfig) -> any AttentionMechanism {
    HierarchicalAttention(model, self)
  }
}

extension AttentionConfig {
  /// H-Transformer-1D with blocks of `blockSize` positions.
  package static func hierarchical(blockSize: Int, query: QueryResolution) -> AttentionConfig {
    var options = HierarchicalOptions()
    options.blockSize = blockSize
    options.query = query
    return AttentionConfig(options)
  }
}

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
  /// Takes the gradient of that table, which nobody reads.
  private let droppedBiasGradient: View

  init(_ config: ModelConfig, _ options: HierarchicalOptions) {
    heads = config.heads
    headWidth = config.headWidth
    scale = config.attentionScale
    blockSize = options.blockSize
    fineQuery = options.query == .fine
    biasLength = config.position == .relativeBias ? 2 * blockSize : nil
    zeroBias = View(rows: heads, columns: 2 * blockSize)
    droppedBiasGradient = View(rows: heads, columns: 2 * blockSize)
  }

  /// The natural log of every softmax denominator.
  package var savedRows: Int { heads }

  package func forward(_ t: AttentionTensors, _ pass: AttentionPass, kernels: any Kernels) {
    kernels.supporting((any HierarchicalAttentionKernels).self).hierarchicalAttentionForward(
      o: t.o, lse: t.saved, q: t.q, k: t.k, v: t.v, bias: t.bias ?? zeroBias,
      starts: pass.starts, heads: heads, scale: scale, blockSize: blockSize, fineQuery: fineQuery)
  }

  package func backward(
    _ t: AttentionTensors, _ d: AttentionGradients, _ pass: AttentionPass, kernels: any Kernels
  ) {
    kernels.supporting((any HierarchicalAttentionKernels).self).hierarchicalAttentionBackward(
      dq: d.dq, dk: d.dk, dv: d.dv,
      dBias: d.dBias ?? droppedBiasGradient, dO: d.dO, o: t.o, lse: t.saved,
      q: t.q, k: t.k, v: t.v, bias: t.bias ?? zeroBias, starts: pass.starts, heads: heads,
      scale: scale, blockSize: blockSize, fineQuery: fineQuery)
  }

  package func makeCache(
    layer: Int, draw: AttentionDraw, kernels: any Kernels
  ) -> any AttentionCache {
    HierarchicalCache(
      HierarchicalDecodeState(
        heads: heads, keyWidth: headWidth, valueWidth: headWidth, blockSize: blockSize,
        fineQuery: fineQuery),
      scale: scale, zeroBias: zeroBias)
  }

  package func work(length: Int) -> AttentionWork {
    AttentionWork(pairs: scoredPairs(length: length), width: heads * headWidth)
  }

  /// `docs/hierarchical-attention.md`, Computation; counted pair by pair, so it holds for every
  /// length.
  private func scoredPairs(length: Int) -> Double {
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

  func step(_ t: AttentionTensors) {
    state.step(o: t.o, q: t.q, k: t.k, v: t.v, bias: t.bias ?? zeroBias, scale: scale)
  }

  func copy() -> any AttentionCache {
    HierarchicalCache(state.copy(), scale: scale, zeroBias: zeroBias)
  }
}
