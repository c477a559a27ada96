package import Deterministic

/// YOSO attention with a causal mask (`docs/yoso-attention.md`; Zeng et al., 2021, arXiv 2111.09714).
package protocol YosoAttentionKernels: Kernels {
  /// `o_i = X_i / |X_i|` per head, `X_i = Σ_{j<=i} w_ij v_j`; rows without any weight are zero.
  ///
  ///     w_ij = (1 - arccos(q_i·k_j / |q_i||k_j|) / π)^bits    expectation
  ///     w_ij = share of the hashes whose codes of q_i and k_j agree    sampled
  ///
  /// Tensors as in softmax attention, without a bias; `saved [shape.savedRows, N]`. The slope of the
  /// weights is `shape.slope`, zero for rows without weight.
  ///
  /// The normal vectors of the hyperplanes, `[shape.planeRows, D]`, have bit t of hash h of a head in row
  /// `(head · hashes + h) · bits + t`. Element c of that row is number `(h · bits + t) · D + c` of the
  /// head's stream: by Box and Muller, as `CounterRandom.gaussian`, but of the first 23 bits of the
  /// uniform numbers, so that fewer hashes are a prefix of more. A stream is named by
  /// `AttentionDraw.planes(layer:head:)`.
  ///
  /// - Parameters:
  ///   - shape: Heads, hashes, bits and estimate.
  ///   - planes: In place of those that are drawn, the same in every pass; tests give them.
  func yosoAttention(_ shape: YosoShape, planes: View?) throws(DeviceError)
    -> any AttentionOperator
}

extension AttentionDraw {
  /// The stream of random numbers of one head's hyperplanes.
  package func planes(layer: Int, head: Int) -> CounterRandom {
    switch self {
    case .training(let seed, let step):
      CounterRandom(seed: seed, UInt64(step), UInt64(layer), UInt64(head), 0)
    case .evaluation(let seed):
      CounterRandom(seed: seed, 0, UInt64(layer), UInt64(head), 1)
    }
  }
}

/// What YOSO attention computes, apart from the widths of its heads.
package struct YosoShape: Sendable, Equatable {
  /// Where the weights come from.
  package enum Estimate: String, Codable, Sendable, CaseIterable {
    /// Collision probabilities, pair by pair; deterministic and quadratic in the length.
    case expectation
    /// Collision counts of random hashes; linear in the length.
    case sampled
    /// Probabilities inside a chunk of positions, counts across chunks; not the published method.
    case hybrid
  }

  /// Derivative of a weight with respect to the cosine.
  package enum Slope: String, Codable, Sendable, CaseIterable {
    /// `bits / 2 · w`, a lower bound of the exact one and the published rule.
    case lower
    /// `bits · u^(bits-1) / (π sin θ)`; for the expectation alone.
    case exact
  }

  package let heads: Int
  package let estimate: Estimate
  /// Bits of a hash code, τ; the power of the expectation.
  package let bits: Int
  /// Hash functions of a head, m.
  package let hashes: Int
  /// Positions of a chunk of the hybrid.
  package let chunk: Int
  package let slope: Slope

  package init(
    heads: Int, estimate: Estimate, bits: Int, hashes: Int = 1, chunk: Int = 64,
    slope: Slope = .lower
  ) {
    precondition(
      heads >= 1 && hashes >= 1 && chunk >= 1, "\(heads) heads, \(hashes) hashes, chunk \(chunk)")
    precondition(bits >= 1 && bits <= 16, "\(bits) bits are not 1 to 16")
    precondition(slope == .lower || estimate == .expectation, "counts have no exact slope")
    self.heads = heads
    self.estimate = estimate
    self.bits = bits
    self.hashes = hashes
    self.chunk = chunk
    self.slope = slope
  }

  /// Whether hash codes are needed, and so hyperplanes.
  package var isRandom: Bool { estimate != .expectation }

  /// Rows of the matrix of hyperplanes, H·m·τ.
  package var planeRows: Int { heads * hashes * bits }

  /// Floats per position that the forward pass leaves: `|X|`, and the codes of q and k.
  package var savedRows: Int { heads * (1 + codeRows) }

  /// Bytes of a code.
  package var codeBytes: Int { bits <= 8 ? 1 : 2 }

  /// Rows of floats that hold the codes of one head: first the queries', then the keys'.
  package var codeRows: Int { isRandom ? (2 * hashes * codeBytes + 3) / 4 : 0 }

  /// Weights are computed in units of 1 / hashes, so that counts are whole numbers.
  package var unit: Float { isRandom ? Float(hashes) : 1 }

  /// Norm of X, in units, up to which a row counts as empty.
  package var leastNorm: Float { 1e-12 * unit }
}
