import CUDASource
package import Tensor

/// Causal Combiner attention (Ren and others, 2021, arXiv 2107.05768) of a card; see
/// `combiner/attention.cu`.
extension GPUKernels: CombinerAttentionKernels {
  package func combinerAttention(_ shape: CombinerShape) -> any AttentionOperator {
    CombinerOperator(shape: shape, kernels: self)
  }
}

struct CombinerOperator: AttentionOperator {
  let shape: CombinerShape
  let kernels: GPUKernels

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    let pass = CombinerPass(self, tensors, pass)
    guard pass.positions > 0 else { return }
    kernels.scratch.lendViews(pass.familyShapes(isBackward: false)) { parts in
      let families = pass.families(parts)
      pass.withAddresses { addresses in
        pass.summarise(families, addresses)
        pass.launch(
          "combiner/attention", "combiner_forward", pass.rows,
          parameters(hasRegions: pass.hasRegions),
          pass.tensors(families), tensors.o.matrix, tensors.saved.matrix, Int32(pass.positions))
      }
    }
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    let pass = CombinerPass(self, tensors, pass)
    guard pass.positions > 0 else { return }
    let (dO, saved) = (gradients.dO.matrix, tensors.saved.matrix)
    let parameters = parameters(hasRegions: pass.hasRegions)
    kernels.scratch.lendViews(
      [(shape.heads, pass.positions)] + pass.familyShapes(isBackward: true)
    ) { parts in
      let dots = parts[0].matrix
      let families = pass.families(Array(parts.dropFirst()))
      kernels.driver.launch(
        GPUKernel("combiner/gradients", "combiner_dots"),
        grid: GPUGrid((pass.positions + 7) / 8, shape.heads), dots, dO, tensors.o.matrix,
        Int32(shape.heads))
      let all = pass.tensors(families)
      pass.withAddresses { addresses in
        pass.summarise(families, addresses)
        for family in families.indices {
          pass.launch(
            "combiner/gradients", "combiner_region_gradients", pass.rows, parameters, all,
            Int32(family), dO, saved, dots)
        }
        if let addresses, let own = CombinerProjectionGradients(gradients) {
          if let family = families.first {
            addresses.backward(family, own)
          } else {
            kernels.fill(own.dInput, with: 0)
          }
        }
        for family in families.indices {
          pass.launch(
            "combiner/gradients", "combiner_region_queries", pass.rows, parameters, all,
            Int32(family))
        }
      }
      pass.launch(
        "combiner/gradients", "combiner_queries", pass.rows, parameters, all, dO, saved, dots,
        gradients.dq.matrix)
      pass.launch(
        "combiner/gradients", "combiner_keys", pass.rows, parameters, all, dO, saved, dots,
        gradients.dk.matrix, gradients.dv.matrix)
    }
  }

  /// Kinds of regions.
  var familyCount: Int { shape.pattern == .mixture ? 3 : 1 }

  /// - Parameter hasRegions: Without any, every pattern is its own row alone.
  func parameters(hasRegions: Bool = true) -> CombinerParameters {
    let pattern: Int32 =
      switch shape.pattern {
      case .fixed: 0
      case .rowmajor: hasRegions ? 1 : 0
      case .logsparse: 2
      case .vertical: hasRegions ? 3 : 0
      case .mixture: hasRegions ? 4 : 0
      }
    let address: Int32 =
      switch shape.address {
      case .wsum: 0
      case .none: 1
      case .proj: 2
      }
    return CombinerParameters(
      pattern: pattern, heads: Int32(shape.heads), segment: Int32(min(shape.segment, 1 << 28)),
      mean: shape.pooling == .mean ? 1 : 0, address: address, scale: shape.scale)
  }
}
