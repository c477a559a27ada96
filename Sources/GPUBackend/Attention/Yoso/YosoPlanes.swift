import Deterministic
import Synchronization
import Tensor

/// Hyperplanes of each layer's last draws on the card, so that the passes of one step draw them once.
final class YosoPlanes: Sendable {
  private struct Drawn {
    let draw: AttentionDraw
    let planes: View
  }

  /// Training and evaluation take turns.
  private struct Layer {
    /// Drawn anew for every step, into the same memory: work is done in order.
    var training: Drawn?
    /// States of decoding hold them: another draw has memory of its own.
    var evaluation: Drawn?
  }

  private let shape: YosoShape
  private let kernels: GPUKernels
  private let given: View?
  private let layers = Mutex<[Int: Layer]>([:])

  init(_ shape: YosoShape, given: View?, on kernels: GPUKernels) {
    self.shape = shape
    self.given = given
    self.kernels = kernels
  }

  /// Planes of a layer, `[H · D, m · τ]`, bits of a head side by side.
  func planes(width: Int, layer: Int, draw: AttentionDraw) throws(DeviceError) -> View {
    let result = layers.withLock { layers -> Result<View, DeviceError> in
      var own = layers[given == nil ? layer : 0] ?? Layer()
      let isTraining = if case .training = draw { true } else { false }
      let known = isTraining && given == nil ? own.training : own.evaluation
      if let known, known.draw == draw || given != nil { return .success(known.planes) }
      do throws(DeviceError) {
        let reused = isTraining && given == nil ? known?.planes : nil
        let planes =
          if let reused { reused } else {
            try kernels.makeView(
              rows: shape.heads * width, columns: shape.hashes * shape.bits)
          }
        try fill(planes, width: width, layer: layer, draw: draw)
        let drawn = Drawn(draw: draw, planes: planes)
        if isTraining && given == nil { own.training = drawn } else { own.evaluation = drawn }
        layers[given == nil ? layer : 0] = own
        return .success(planes)
      } catch {
        return .failure(error)
      }
    }
    return try result.get()
  }

  private func fill(
    _ planes: View, width: Int, layer: Int, draw: AttentionDraw
  ) throws(DeviceError) {
    let count = Int32(shape.hashes * shape.bits)
    if let given {
      precondition(
        given.rows == shape.planeRows && given.columns == width,
        "planes must be [\(shape.planeRows), \(width)]")
      kernels.driver.launch(
        GPUKernel("yoso/planes", "yoso_arrange"), grid: .threads(given.count), planes.address,
        given.matrix, count)
      return
    }
    let streams = (0..<shape.heads).map { draw.planes(layer: layer, head: $0).key }
    kernels.scratch.lend([8 * shape.heads]) { parts in
      guard GPUScratch.recorder == nil else { return }
      streams.withUnsafeBytes { kernels.driver.copyIn($0, to: parts[0]) }
      let pairs = (Int(count) * width + 1) / 2
      kernels.driver.launch(
        GPUKernel("yoso/planes", "yoso_draw"), grid: GPUGrid((pairs + 255) / 256, shape.heads),
        planes.address, parts[0], count, Int32(width))
    }
  }
}
