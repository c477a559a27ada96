/// Combiner attention, per sequence and head; memory linear in the length.
package protocol CombinerKernels: Kernels {
  /// Causal Combiner attention (Ren and others, 2021, arXiv 2107.05768).
  ///
  /// A query attends to some earlier keys directly and to the regions that hold the others through
  /// one pooled key and one value each; a single softmax runs over both. `q, k [N, H·D]`,
  /// `v, o [N, H·E]`, usually columns of one matrix; `saved [shape.savedRows, N]` takes what the
  /// backward pass needs beside `o`: first, in H rows, the natural log of every softmax
  /// denominator.
  ///
  /// - Parameters:
  ///   - o: Outputs, `[N, H·E]`.
  ///   - saved: `[shape.savedRows, N]`, for the backward pass.
  ///   - q: Queries, `[N, H·D]`.
  ///   - k: Keys, `[N, H·D]`.
  ///   - v: Values, `[N, H·E]`.
  ///   - projection: For row-major summaries with projected addresses, nil for all others.
  ///   - starts: First position of every sequence and, last, N; positions begin anew in each.
  ///   - shape: Heads, pattern and segment.
  func combinerAttentionForward(
    o: View, saved: View, q: View, k: View, v: View, projection: CombinerProjection?,
    starts: [Int], shape: CombinerShape)
  /// `dq, dk, dv = …`, the gradients of the projection as it says; summaries are recomputed.
  func combinerAttentionBackward(
    dq: View, dk: View, dv: View, dProjection: CombinerProjectionGradients?, dO: View, o: View,
    saved: View, q: View, k: View, v: View, projection: CombinerProjection?, starts: [Int],
    shape: CombinerShape)
}

/// What makes one Combiner attention; all of it is part of the model, nothing follows from a length.
package struct CombinerShape: Sendable, Equatable {
  /// Which earlier positions a query meets directly and how the others are grouped.
  package enum Pattern: String, Codable, Sendable, CaseIterable {
    /// Own segment directly, every earlier segment one region.
    case fixed
    /// Own row directly, every earlier row summarised by its query in the asking column.
    case rowmajor
    /// Only itself directly; regions are the dyadic blocks of the binary expansion of its position.
    case logsparse
    /// Own row and own column directly; the part of every other column above is one region.
    case vertical
    /// The regions of `vertical`, and of every row above the parts left and right of the column.
    case mixture
  }

  /// How queries and keys of a region become one.
  package enum Pooling: String, Codable, Sendable, CaseIterable {
    /// Largest of every channel; of equal ones the first position takes the gradient.
    case max
    case mean
  }

  /// The address key of a row-major summary.
  package enum Address: String, Codable, Sendable, CaseIterable {
    /// Keys weighted like the values of the summary.
    case wsum
    /// The key of the asking column.
    case none
    /// A learned projection of the summary and the layer's input.
    case proj
  }

  package let heads: Int
  /// Factor of every logit.
  package let scale: Float
  package let pattern: Pattern
  /// Positions of a segment or a row, m; `logsparse` has none.
  package let segment: Int
  /// Not used by `rowmajor`.
  package let pooling: Pooling
  /// Used by `rowmajor` alone.
  package let address: Address

  package init(
    heads: Int, scale: Float, pattern: Pattern, segment: Int = 64, pooling: Pooling = .max,
    address: Address = .wsum
  ) {
    precondition(heads > 0 && segment > 0, "\(heads) heads, segments of \(segment)")
    self.heads = heads
    self.scale = scale
    self.pattern = pattern
    self.segment = segment
    self.pooling = pooling
    self.address = address
  }

  /// Rows of `saved`.
  package var savedRows: Int { heads }

  /// Whether the kernels take a `CombinerProjection`.
  package var needsProjection: Bool { pattern == .rowmajor && address == .proj }
}

/// Inputs of the projected address `A = LN(x + S Woᵀ) Waᵀ` of row-major summaries.
package struct CombinerProjection: Sendable {
  package let input: View  // x, the normalised input of the layer, [N, C]
  package let summaryWeight: View  // Wo, [C, H·E]
  package let addressWeight: View  // Wa, [H·D, C]
  package let gain: View  // [1, C]
  package let bias: View  // [1, C]
  package let epsilon: Float

  package init(
    input: View, summaryWeight: View, addressWeight: View, gain: View, bias: View,
    epsilon: Float = 1e-6
  ) {
    self.input = input
    self.summaryWeight = summaryWeight
    self.addressWeight = addressWeight
    self.gain = gain
    self.bias = bias
    self.epsilon = epsilon
  }

  /// The same weights with one row or more of the input.
  package func rows(_ range: Range<Int>) -> CombinerProjection {
    CombinerProjection(
      input: input.rows(range), summaryWeight: summaryWeight, addressWeight: addressWeight,
      gain: gain, bias: bias, epsilon: epsilon)
  }
}

/// Gradients of a `CombinerProjection`.
package struct CombinerProjectionGradients: Sendable {
  package let dInput: View  // =, [N, C]
  package let dSummaryWeight: View  // +=
  package let dAddressWeight: View  // +=
  package let dGain: View  // +=
  package let dBias: View  // +=

  package init(
    dInput: View, dSummaryWeight: View, dAddressWeight: View, dGain: View, dBias: View
  ) {
    self.dInput = dInput
    self.dSummaryWeight = dSummaryWeight
    self.dAddressWeight = dAddressWeight
    self.dGain = dGain
    self.dBias = dBias
  }
}
