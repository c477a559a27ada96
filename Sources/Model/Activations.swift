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
    package let qkv: View  // [N, 3C] heads as the device lays them out, after the rotation
    package let attended: View  // [N, C] heads as the device lays them out
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
    package let attended: View  // [N, C] heads as the device lays them out
    package let qkv: View  // [N, 3C] heads as the device lays them out
    package let product: View  // [N, F]
    package let gateUp: View  // [N, 2F]
  }

  /// Numbers that are carved from one buffer.
  package static func numbers(
    _ config: ModelConfig, positions: Int, training: Bool, heads: HeadLayout
  ) -> Int {
    var arena = Arena(buffer: nil, heads: heads)
    _ = Self.carve(config, positions: positions, training: training, &arena)
    return arena.offset
  }

  /// Carves the views from one buffer, whose contents are overwritten.
  ///
  /// - Parameters:
  ///   - config: Dimensions of the model.
  ///   - positions: Positions of the largest batch.
  ///   - training: Whether there is a backward pass.
  ///   - buffer: At least ``numbers(_:positions:training:heads:)``.
  ///   - heads: How the device wants the heads of an attention.
  package init(
    _ config: ModelConfig, positions: Int, training: Bool, in buffer: Buffer, heads: HeadLayout
  ) {
    var arena = Arena(buffer: buffer, heads: heads)
    let parts = Self.carve(config, positions: positions, training: training, &arena)
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
  private struct Arena {
    let buffer: Buffer?
    let heads: HeadLayout
    var offset = 0

    /// A size past every machine stays at that: a data set that lies about its longest sentence is
    /// refused for want of memory.
    private mutating func advance(by numbers: (partialValue: Int, overflow: Bool)) {
      let most = Buffer.mostNumbers
      offset =
        numbers.overflow || numbers.partialValue > most - offset - 15
        ? most : offset + (numbers.partialValue + 15) / 16 * 16
    }

    mutating func carve(_ rows: Int, _ columns: Int) -> View {
      defer { advance(by: rows.multipliedReportingOverflow(by: columns)) }
      guard let buffer else { return View(.nothing, offset: 0, rows: 0, columns: 0) }
      return View(buffer, offset: offset, rows: rows, columns: columns)
    }

    /// A matrix of attention heads.
    mutating func carve(_ rows: Int, _ columns: Int, headWidth: Int) -> View {
      if case .rows = heads { return carve(rows, columns) }
      let first = offset
      // Bands are rounded up one by one; the columns of a head are as good as all for a plan so large.
      let plain = rows.multipliedReportingOverflow(by: columns)
      if plain.overflow || plain.partialValue > Buffer.mostNumbers {
        advance(by: plain)
      } else {
        advance(
          by: (View.numbers(rows: rows, columns: columns, bandWidth: headWidth), overflow: false))
      }
      guard let buffer else { return View(.nothing, offset: 0, rows: 0, columns: 0) }
      return View(buffer, offset: first, rows: rows, columns: columns, bandWidth: headWidth)
    }
  }

  private static func carve(
    _ config: ModelConfig, positions: Int, training: Bool, _ arena: inout Arena
  ) -> Parts {
    let rows = positions
    let width = config.width
    let savedRows = config.mechanism.savedRows
    func layer(input: View, middle: View) -> Layer {
      Layer(
        input: input, inputRstd: arena.carve(1, rows),
        qkv: arena.carve(rows, 3 * width, headWidth: config.headWidth),
        attended: arena.carve(rows, width, headWidth: config.headWidth),
        saved: arena.carve(savedRows, rows),
        middle: middle,
        middleRstd: arena.carve(1, rows), gateUp: arena.carve(rows, 2 * config.hidden))
    }
    var layers: [Layer] = []
    let output: View
    if training {
      var input = arena.carve(rows, width)
      for _ in 0..<config.layers {
        layers.append(layer(input: input, middle: arena.carve(rows, width)))
        input = arena.carve(rows, width)
      }
      output = input
    } else {
      // One residual stream, added to in place.
      output = arena.carve(rows, width)
      layers = Array(repeating: layer(input: output, middle: output), count: config.layers)
    }
    return Parts(
      layers: layers, output: output, outputRstd: arena.carve(1, rows),
      normed: arena.carve(rows, width), product: arena.carve(rows, config.hidden),
      branch: arena.carve(rows, width), nllNats: arena.carve(1, rows),
      gradients: training ? carveGradients(config, rows: rows, &arena) : nil)
  }

  private static func carveGradients(
    _ config: ModelConfig, rows: Int, _ arena: inout Arena
  ) -> Gradients {
    let width = config.width
    return Gradients(
      residual: arena.carve(rows, width), normed: arena.carve(rows, width),
      branch: arena.carve(rows, width),
      attended: arena.carve(rows, width, headWidth: config.headWidth),
      qkv: arena.carve(rows, 3 * width, headWidth: config.headWidth),
      product: arena.carve(rows, config.hidden),
      gateUp: arena.carve(rows, 2 * config.hidden))
  }
}
