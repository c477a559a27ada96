import CUDASource
package import Tensor

/// Causal hierarchical attention (Zhu and Soricut, 2021, arXiv 2107.11906), any length; no atomics, and
/// every sum in an order that its own sequence decides.
extension GPUKernels: HierarchicalAttentionKernels {
  package func hierarchicalAttention(
    _ shape: HierarchicalShape
  ) throws(DeviceError) -> any AttentionOperator {
    HierarchicalOperator(kernels: self, shape: shape)
  }
}

struct HierarchicalOperator: AttentionOperator {
  let kernels: GPUKernels
  let shape: HierarchicalShape

  var rotates: Bool { true }

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    check(tensors)
    guard tensors.q.rows > 0 else { return }
    guard let tiles = tiles(tensors) else {
      kernels.rotate(tensors, [tensors.q, tensors.k], pass, heads: shape.heads, inverse: false)
      return plain(tensors, pass).forward()
    }
    guard let plan = plan(pass.sequences) else { return }
    kernels.withFloats(of: tensors.bias) { bias in
      var arguments = arguments(tensors, bias: bias)
      arguments.keep(tensors.saved)
      arguments.rotate(by: kernels.rotation(tensors, pass, heads: shape.heads))
      HierarchicalPass(kernels, tiles, plan, arguments, isFine: shape.fineQuery).forward()
    }
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    check(tensors)
    guard tensors.q.rows > 0 else { return }
    guard let tiles = tiles(tensors, gradients) else {
      plain(tensors, pass).backward(gradients)
      return kernels.rotate(
        tensors, [gradients.dq, gradients.dk], pass, heads: shape.heads, inverse: true)
    }
    guard let plan = plan(pass.sequences) else { return }
    kernels.withFloats(of: tensors.bias) { bias in
      var arguments = arguments(tensors, bias: bias)
      arguments.keep(tensors.saved)
      arguments.rotate(by: kernels.rotation(tensors, pass, heads: shape.heads))
      arguments.add(gradients)
      HierarchicalPass(kernels, tiles, plan, arguments, isFine: shape.fineQuery)
        .backward(dBias: gradients.dBias)
    }
  }

  private func check(_ tensors: AttentionTensors) {
    precondition(
      tensors.bias.map { $0.rows == shape.heads && $0.columns == shape.biasLength } ?? true,
      "the bias must be [\(shape.heads), \(shape.biasLength)]")
  }

  private func tiles(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients? = nil
  ) -> AttentionTiling? {
    shape.fitsTiles ? AttentionTiling(kernels.driver, heads: shape.heads, tensors, gradients) : nil
  }

  func arguments(_ tensors: AttentionTensors, bias: View?) -> AttentionArguments {
    var arguments = AttentionArguments(
      tensors, bias: bias, heads: shape.heads, scale: shape.scale)
    shape.write(to: &arguments)
    return arguments
  }

  private func plan(_ sequences: Sequences) -> HierarchicalPlan? {
    let key = HierarchicalPlan.Key(blockSize: shape.blockSize, isFine: shape.fineQuery)
    return sequences.placedStarts.plans.plan(key) {
      kernels.attempt { () throws(DeviceError) in
        try HierarchicalPlan(sequences, key, kernels.driver)
      }
    }
  }

  private func plain(_ tensors: AttentionTensors, _ pass: AttentionPass) -> PlainAttentionPass {
    PlainAttentionPass(
      kernels, PlainShape(shape), tensors, pass.sequences, biasLength: shape.biasLength)
  }
}

extension HierarchicalShape {
  /// Whether a tile of 16 rows never crosses a block, and the slope of the bias fits a block of threads.
  var fitsTiles: Bool { blockSize % TiledSequence.tileRows == 0 && blockSize <= 1_024 }

  func write(to arguments: inout AttentionArguments) {
    arguments.blockSize = Int32(blockSize)
    arguments.isFine = fineQuery ? 1 : 0
    arguments.biasLength = Int32(biasLength)
  }
}
