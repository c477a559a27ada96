package import Tensor

extension OracleKernels: SoftmaxAttentionKernels {
  package func softmaxAttention(_ shape: SoftmaxShape) -> any AttentionOperator {
    HeadwiseOperator(heads: shape.heads, group: shape.group) { inputs in
      ReferenceSoftmaxAttention(
        q: inputs.q, k: inputs.k, v: inputs.v, bias: inputs.bias, scale: Double(shape.scale))
    }
  }
}

extension OracleKernels: HierarchicalAttentionKernels {
  package func hierarchicalAttention(_ shape: HierarchicalShape) -> any AttentionOperator {
    HeadwiseOperator(heads: shape.heads) { inputs in
      ReferenceHierarchicalAttention(
        q: inputs.q, k: inputs.k, v: inputs.v,
        bias: inputs.bias ?? [Double](repeating: 0, count: shape.biasLength),
        scale: Double(shape.scale), blockSize: shape.blockSize, fineQuery: shape.fineQuery)
    }
  }
}

extension OracleKernels: CombinerAttentionKernels {
  package func combinerAttention(_ shape: CombinerShape) -> any AttentionOperator {
    if shape.needsProjection { return ProjectedCombinerOperator(shape: shape) }
    return HeadwiseOperator(heads: shape.heads) { inputs in
      ReferenceCombinerAttention(q: inputs.q, k: inputs.k, v: inputs.v, shape: shape)
    }
  }
}

extension OracleKernels: YosoAttentionKernels {
  package func yosoAttention(_ shape: YosoShape, planes: View?) -> any AttentionOperator {
    HeadwiseOperator(heads: shape.heads) { inputs in
      ReferenceYosoAttention(
        q: inputs.q, k: inputs.k, v: inputs.v, bits: shape.bits,
        weights: YosoHashes(shape, inputs, given: planes).weights(shape, inputs),
        slope: shape.slope)
    }
  }
}
