import Tensor

/// Rotation of queries and keys as part of an attention.
extension GPUKernels {
  /// Cosines and sines for the longest sequence of a pass; nil if nothing is to be rotated, or after the
  /// driver has been told that there is no memory.
  func rotation(_ tensors: AttentionTensors, _ pass: AttentionPass, heads: Int) -> View? {
    guard let theta = tensors.rotaryTheta else { return nil }
    let starts = pass.sequences.starts
    let longest = zip(starts.dropFirst(), starts).map { $0 - $1 }.max() ?? 0
    return positionTables.table(
      .rotary(headWidth: tensors.q.columns / heads, theta: theta), positions: longest, on: self)
  }

  /// Rotates queries and keys, or their gradients back, where no kernel of the attention does.
  func rotate(
    _ tensors: AttentionTensors, _ views: [View], _ pass: AttentionPass, heads: Int,
    inverse: Bool
  ) {
    guard let theta = tensors.rotaryTheta else { return }
    for view in views {
      rotary(
        x: view, positions: pass.sequences.positions, headWidth: view.columns / heads,
        theta: theta, inverse: inverse)
    }
  }
}
