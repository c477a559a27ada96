import Host
import Synchronization
import Tensor

/// Hyperplanes of each layer's last draws, so that the passes of one step draw them once.
final class YosoDrawnPlanes: Sendable {
  private struct Drawn {
    var draw: AttentionDraw
    let planes: View
  }

  /// Training and evaluation take turns.
  private struct Layer {
    /// Drawn anew for every step, into the same memory: nothing outlives the pass it is for.
    var training: Drawn?
    /// States of decoding hold them: another draw has memory of its own.
    var evaluation: Drawn?
  }

  private let given: View?
  private let layers = Mutex<[Int: Layer]>([:])

  /// - Parameter given: The same hyperplanes for every pass, instead of drawing any.
  init(given: View?) { self.given = given }

  func planes(_ shape: YosoShape, width: Int, layer: Int, draw: AttentionDraw) -> View {
    if let given { return given }
    return layers.withLock { layers in
      var own = layers[layer] ?? Layer()
      defer { layers[layer] = own }
      let known = if case .training = draw { own.training } else { own.evaluation }
      if let known, known.draw == draw { return known.planes }
      let memory = if case .training = draw { own.training?.planes } else { View?.none }
      let planes = memory ?? View(rows: shape.planeRows, columns: width)
      shape.drawPlanes(into: planes) { draw.planes(layer: layer, head: $0) }
      let drawn = Drawn(draw: draw, planes: planes)
      if case .training = draw { own.training = drawn } else { own.evaluation = drawn }
      return planes
    }
  }
}
