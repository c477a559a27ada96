/// Combiner attention, per sequence and head; memory linear in the length.
package protocol CombinerAttentionKernels: Kernels {
  /// Causal Combiner attention (Ren and others, 2021, arXiv 2107.05768).
  ///
  /// A query attends to some earlier keys directly and to the regions that hold the others through
  /// one pooled key and one value each; a single softmax runs over both. Tensors as in softmax
  /// attention, without a bias; `saved [shape.savedRows, N]` takes first, in H rows, the natural log of
  /// every softmax denominator. Weights of its own are those of a ``CombinerProjection``, in its order,
  /// for row-major summaries with projected addresses. Summaries are computed once more in the
  /// backward pass.
  func combinerAttention(_ shape: CombinerShape) throws(DeviceError) -> any AttentionOperator
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

  /// - Parameters:
  ///   - input: The normalised input of the layer, `[N, C]`.
  ///   - own: The four weights, in the order of the properties.
  ///   - epsilon: Of the layer norm.
  package init(input: View, own: [View], epsilon: Float = 1e-6) {
    precondition(own.count == 4, "\(own.count) weights of a projection")
    self.input = input
    summaryWeight = own[0]
    addressWeight = own[1]
    gain = own[2]
    bias = own[3]
    self.epsilon = epsilon
  }

  /// The projection in a layer's tensors, or nil if they have none.
  package init?(_ tensors: AttentionTensors) {
    guard !tensors.own.isEmpty else { return nil }
    guard let input = tensors.input else { preconditionFailure("a projection without input") }
    self.init(input: input, own: tensors.own)
  }
}

/// Gradients of a `CombinerProjection`.
package struct CombinerProjectionGradients: Sendable {
  package let dInput: View  // =, [N, C]
  package let dSummaryWeight: View  // +=
  package let dAddressWeight: View  // +=
  package let dGain: View  // +=
  package let dBias: View  // +=

  /// The gradients of the projection in a layer's tensors, or nil if they have none.
  package init?(_ gradients: AttentionGradients) {
    guard !gradients.dOwn.isEmpty else { return nil }
    guard let dInput = gradients.dInput, gradients.dOwn.count == 4 else {
      preconditionFailure("gradients of a projection")
    }
    self.dInput = dInput
    dSummaryWeight = gradients.dOwn[0]
    dAddressWeight = gradients.dOwn[1]
    dGain = gradients.dOwn[2]
    dBias = gradients.dOwn[3]
  }
}
