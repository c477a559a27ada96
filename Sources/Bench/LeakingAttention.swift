import Model
import Tensor

/// An attention that keeps an L×L buffer of every forward pass: the fault that the checks of memory
/// must find.
struct LeakingAttention: AttentionMechanism {
  private final class Leak: @unchecked Sendable {
    // Unchecked because only the thread of the forward passes touches it.
    var buffers: [View] = []
  }

  private let base: any AttentionMechanism
  private let leak = Leak()

  init(_ base: any AttentionMechanism) { self.base = base }

  var biasLength: Int? { base.biasLength }
  var ownWeights: [AttentionWeight] { base.ownWeights }
  var readsInput: Bool { base.readsInput }
  var savedRows: Int { base.savedRows }

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass, kernels: any Kernels) {
    for (start, end) in zip(pass.starts, pass.starts.dropFirst()) {
      leak.buffers.append(View(rows: end - start, columns: end - start))
    }
    base.forward(tensors, pass, kernels: kernels)
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass,
    kernels: any Kernels
  ) {
    base.backward(tensors, gradients, pass, kernels: kernels)
  }

  func makeCache(
    layer: Int, draw: AttentionDraw, kernels: any Kernels
  ) -> any AttentionCache {
    base.makeCache(layer: layer, draw: draw, kernels: kernels)
  }

  func work(length: Int) -> AttentionWork { base.work(length: length) }
}
