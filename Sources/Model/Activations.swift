package import Tensor

/// Everything the forward pass writes, planned for a number of positions before the first step.
///
/// For training every layer keeps what its backward pass reads; normalised inputs and the SwiGLU
/// product are cheaper to compute again than to keep. For scoring all layers share one set.
package struct Activations: Sendable {
  /// What one layer keeps.
  package struct Layer: Sendable {
    package let input: View  // [N, C] residual stream before the layer
    package let inputRstd: View  // [1, N]
    package let qkv: View  // [N, 3C] in bands of heads, after the rotation
    package let attended: View  // [N, C] in bands of heads
    package let saved: View  // what the attention keeps, [savedRows, N]
    package let middle: View  // [N, C] residual stream between attention and feed-forward
    package let middleRstd: View  // [1, N]
    package let gateUp: View  // [N, 2F]
  }

  package let capacity: Int
  package let layers: [Layer]
  package let output: View  // [N, C] residual stream after the last layer
  package let outputRstd: View  // [1, N]
  package let normed: View  // [N, C] scratch: normalised input of whatever runs
  package let product: View  // [N, F] scratch: SwiGLU output
  package let branch: View  // [N, C] scratch: a branch before it joins the residual stream
  package let nllNats: View  // [1, N]
  package let gradients: Gradients?

  /// Scratch of the backward pass, shared by all layers.
  package struct Gradients: Sendable {
    package let residual: View  // [N, C]
    package let normed: View  // [N, C]
    package let branch: View  // [N, C]
    package let attended: View  // [N, C] in bands of heads
    package let qkv: View  // [N, 3C] in bands of heads
    package let product: View  // [N, F]
    package let gateUp: View  // [N, 2F]
  }

  /// Floats that are carved from one buffer.
  package static func floats(_ config: ModelConfig, positions: Int, training: Bool) -> Int {
    var walk = Walk(buffer: nil)
    _ = Self.carve(config, positions: positions, training: training, &walk)
    return walk.offset
  }

  /// Bytes of that buffer.
  package static func bytes(_ config: ModelConfig, positions: Int, training: Bool) -> Int {
    floats(config, positions: positions, training: training) * MemoryLayout<Float>.stride
  }

  /// - Parameter buffer: At least ``floats(_:positions:training:)``; what it holds is overwritten.
  package init(_ config: ModelConfig, positions: Int, training: Bool, in buffer: Buffer) {
    var walk = Walk(buffer: buffer)
    let parts = Self.carve(config, positions: positions, training: training, &walk)
    layers = parts.layers
    output = parts.output
    outputRstd = parts.outputRstd
    normed = parts.normed
    product = parts.product
    branch = parts.branch
    nllNats = parts.nllNats
    gradients = parts.gradients
    capacity = positions
  }

  /// Everything that is carved from one buffer.
  private struct Parts {
    let layers: [Layer]
    let output: View
    let outputRstd: View
    let normed: View
    let product: View
    let branch: View
    let nllNats: View
    let gradients: Gradients?
  }

  /// Hands out views one after the other; without a buffer it only counts.
  private struct Walk {
    let buffer: Buffer?
    var offset = 0
    static let nothing = Buffer(count: 0)

    /// A size past every machine stays at that: a data set that lies about its longest sentence is
    /// refused for want of memory.
    private mutating func advance(by floats: (partialValue: Int, overflow: Bool)) {
      let most = Buffer.mostFloats
      offset =
        floats.overflow || floats.partialValue > most - offset - 15
        ? most : offset + (floats.partialValue + 15) / 16 * 16
    }

    mutating func take(_ rows: Int, _ columns: Int) -> View {
      defer { advance(by: rows.multipliedReportingOverflow(by: columns)) }
      guard let buffer else { return View(Self.nothing, offset: 0, rows: 0, columns: 0) }
      return View(buffer, offset: offset, rows: rows, columns: columns)
    }

    /// A matrix whose heads lie in one piece each.
    mutating func take(_ rows: Int, _ columns: Int, headWidth: Int) -> View {
      let first = offset
      // Bands are rounded up one by one; the columns of a head are as good as all for a plan so large.
      let plain = rows.multipliedReportingOverflow(by: columns)
      if plain.overflow || plain.partialValue > Buffer.mostFloats {
        advance(by: plain)
      } else {
        advance(
          by: (View.floats(rows: rows, columns: columns, bandWidth: headWidth), overflow: false))
      }
      guard let buffer else { return View(Self.nothing, offset: 0, rows: 0, columns: 0) }
      return View(buffer, offset: first, rows: rows, columns: columns, bandWidth: headWidth)
    }
  }

  private static func carve(
    _ config: ModelConfig, positions: Int, training: Bool, _ walk: inout Walk
  ) -> Parts {
    let rows = positions
    let width = config.width
    let savedRows = config.mechanism.savedRows
    func layer(input: View, middle: View) -> Layer {
      Layer(
        input: input, inputRstd: walk.take(1, rows),
        qkv: walk.take(rows, 3 * width, headWidth: config.headWidth),
        attended: walk.take(rows, width, headWidth: config.headWidth),
        saved: walk.take(savedRows, rows),
        middle: middle,
        middleRstd: walk.take(1, rows), gateUp: walk.take(rows, 2 * config.hidden))
    }
    var layers: [Layer] = []
    let output: View
    if training {
      var input = walk.take(rows, width)
      for _ in 0..<config.layers {
        layers.append(layer(input: input, middle: walk.take(rows, width)))
        input = walk.take(rows, width)
      }
      output = input
    } else {
      // One residual stream, added to in place.
      output = walk.take(rows, width)
      layers = Array(repeating: layer(input: output, middle: output), count: config.layers)
    }
    return Parts(
      layers: layers, output: output, outputRstd: walk.take(1, rows),
      normed: walk.take(rows, width), product: walk.take(rows, config.hidden),
      branch: walk.take(rows, width), nllNats: walk.take(1, rows),
      gradients: training ? carveGradients(config, rows: rows, &walk) : nil)
  }

  private static func carveGradients(
    _ config: ModelConfig, rows: Int, _ walk: inout Walk
  ) -> Gradients {
    let width = config.width
    return Gradients(
      residual: walk.take(rows, width), normed: walk.take(rows, width),
      branch: walk.take(rows, width),
      attended: walk.take(rows, width, headWidth: config.headWidth),
      qkv: walk.take(rows, 3 * width, headWidth: config.headWidth),
      product: walk.take(rows, config.hidden),
      gateUp: walk.take(rows, 2 * config.hidden))
  }
}
