package import Tensor

/// Full causal softmax attention has no options; its bias table is any length.
package struct SoftmaxOptions: AttentionOptions {
  package static let kind = AttentionKind.softmax

  package init() {}

  package var defaultPosition: Position { .rotary }

  package func validate(_ model: ModelConfig) {}

  package func mechanism(_ model: ModelConfig) -> any AttentionMechanism {
    SoftmaxAttention(model)
  }
}

/// Full causal softmax attention; a stream remembers every key and value so far.
package struct SoftmaxAttention: AttentionMechanism {
  private let shape: SoftmaxShape
  private let width: Int
  package let biasLength: Int?

  init(_ config: ModelConfig) {
    shape = SoftmaxShape(
      heads: config.heads, keyValueHeads: config.keyValueHeads, scale: config.attentionScale)
    width = config.attentionWidth
    biasLength = config.position == .relativeBias ? config.relativeBiasLength : nil
  }

  package var savedRows: Int { shape.savedRows }

  package var streamsAreGrouped: Bool { true }

  package func makeOperator(
    on kernels: any Kernels
  ) throws(DeviceError) -> any AttentionOperator {
    try kernels.supporting((any SoftmaxAttentionKernels).self, .softmax).softmaxAttention(shape)
  }

  package func work(length: Int) -> AttentionWork {
    AttentionWork(pairs: Double(length) * Double(length + 1) / 2, width: width)
  }
}
