import Tensor

/// An attention that keeps an L×L buffer of every forward pass: the fault that the checks of memory
/// must find.
struct LeakingAttention: AttentionOperator {
  private final class Leak: @unchecked Sendable {
    // Unchecked because only the thread of the forward passes touches it.
    var buffers: [View] = []
  }

  private let honest: any AttentionOperator
  private let device: any Device
  private let leak = Leak()

  init(_ honest: any AttentionOperator, on device: any Device) {
    self.honest = honest
    self.device = device
  }

  func forward(_ tensors: AttentionTensors, _ pass: AttentionPass) {
    let starts = pass.sequences.starts
    for (start, end) in zip(starts, starts.dropFirst()) {
      if let square = try? device.makeView(rows: end - start, columns: end - start) {
        leak.buffers.append(square)
      }
    }
    honest.forward(tensors, pass)
  }

  func backward(
    _ tensors: AttentionTensors, _ gradients: AttentionGradients, _ pass: AttentionPass
  ) {
    honest.backward(tensors, gradients, pass)
  }

  func makeState(
    _ widths: HeadWidths, layer: Int, draw: AttentionDraw
  ) throws(DeviceError) -> any AttentionState {
    try honest.makeState(widths, layer: layer, draw: draw)
  }

  func step(_ tensors: AttentionTensors, _ states: [any AttentionState]) {
    honest.step(tensors, states)
  }
}
