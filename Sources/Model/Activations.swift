package import Tensor

/// Everything the forward pass writes, planned for a number of positions before the first step.
///
/// For training every layer keeps what its backward pass reads; normalised inputs and the SwiGLU
/// product are cheaper to compute again than to keep. For scoring all layers share one set.
///
/// What products read and write is kept for `NumberUse.compute`; the residual stream, what
/// normalisations and attentions save, and the stream's gradient for `NumberUse.master`.
///
/// Where kernels go back from a normalisation's output (`TwoTypeKernels`), that is kept in place of its
/// input, which has twice as many bytes: there is one residual stream, added to in place. Its gradient,
/// which every product rounds anyway, is kept for `NumberUse.compute` there.
package struct Activations: Sendable {
  /// What one layer keeps.
  package struct Layer: Sendable {
    package let input: View  // [N, C] residual stream before the layer
    package let inputRstd: View  // [1, N]
    package let inputNormed: View  // [N, C] what `input` is normalised to; scratch if not kept
    package let qkv: View  // [N, (H + 2K)·D] heads as the device lays them out, after the rotation
    /// Queries and keys before their norm, `[N, (H + K)·D]`; nothing without one, or without a backward
    /// pass.
    package let rawQK: View
    package let headRstd: View  // [H + K, N] of queries and keys; nothing without a norm
    package let attended: View  // [N, H·D] heads as the device lays them out
    package let saved: View  // what the attention keeps, [savedRows, N]
    package let middle: View  // [N, C] residual stream between attention and feed-forward
    package let middleRstd: View  // [1, N]
    package let middleNormed: View  // [N, C] as `inputNormed`
    package let gateUp: View  // [N, 2F]
  }

  package let capacity: Int
  package let layers: [Layer]
  package let output: View  // [N, C] residual stream after the last layer
  package let outputRstd: View  // [1, N]
  package let normed: View  // [N, C] scratch: normalised input of whatever runs
  package let product: View  // [N, F] scratch: SwiGLU output
  package let branch: View  // [N, C] scratch: a branch before it joins the residual stream
  /// Scratch: keys and values, each head repeated for its group, `[N, 2H·D]`; nothing without groups.
  package let repeated: View
  package let nllNats: View  // [1, N]
  package let clusters: ClusterScratch
  package let gradients: Gradients?

  /// Scratch of the backward pass, shared by all layers.
  package struct Gradients: Sendable {
    package let residual: View  // [N, C]
    package let normed: View  // [N, C]
    package let branch: View  // [N, C]
    package let attended: View  // [N, H·D] heads as the device lays them out
    package let qkv: View  // [N, (H + 2K)·D] heads as the device lays them out
    package let rawQK: View  // [N, (H + K)·D] as the device lays them out; nothing without a norm
    package let repeated: View  // [N, 2H·D] of repeated keys and values; nothing without groups
    package let product: View  // [N, F]
    package let gateUp: View?  // [N, 2F]; nil if it takes the place of what it is the gradient of
  }

  /// Numbers that are carved from a device's memory.
  package static func size(
    _ config: ModelConfig, positions: Int, training: Bool, on device: any Device
  ) -> ActivationSize {
    var arena = Arena(memory: nil, on: device)
    _ = Self.carve(config, positions: positions, training: training, &arena)
    return arena.size
  }

  /// Carves the views from memory whose contents are overwritten.
  ///
  /// - Parameters:
  ///   - config: Dimensions of the model.
  ///   - positions: Positions of the largest batch.
  ///   - training: Whether there is a backward pass.
  ///   - memory: At least ``size(_:positions:training:on:)``.
  ///   - device: Where it lies.
  package init(
    _ config: ModelConfig, positions: Int, training: Bool, in memory: ActivationMemory,
    on device: any Device
  ) {
    var arena = Arena(memory: memory, on: device)
    let parts = Self.carve(config, positions: positions, training: training, &arena)
    layers = parts.layers
    output = parts.output
    outputRstd = parts.outputRstd
    normed = parts.normed
    product = parts.product
    branch = parts.branch
    repeated = parts.repeated
    nllNats = parts.nllNats
    clusters = parts.clusters
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
    let repeated: View
    let nllNats: View
    let clusters: ClusterScratch
    let gradients: Gradients?
  }

  private static func carve(
    _ config: ModelConfig, positions: Int, training: Bool, _ arena: inout Arena
  ) -> Parts {
    let (rows, width) = (positions, config.width)
    let savedRows = config.mechanism.savedRows
    let keepsNorms = training && arena.keepsNorms
    let normed = arena.carve(rows, width, for: .compute)
    func layer(input: View, middle: View) -> Layer {
      Layer(
        input: input, inputRstd: arena.carve(1, rows, for: .master),
        inputNormed: keepsNorms ? arena.carve(rows, width, for: .compute) : normed,
        qkv: arena.carve(rows, config.qkvWidth, headWidth: config.headWidth),
        rawQK: arena.carve(
          rows, config.qkNorm && training ? config.queryKeyWidth : 0, headWidth: config.headWidth),
        headRstd: arena.carve(
          config.qkNorm ? config.heads + config.keyValueHeads : 0, rows, for: .master),
        attended: arena.carve(rows, config.attentionWidth, headWidth: config.headWidth),
        saved: arena.carve(savedRows, rows, for: .master),
        middle: middle,
        middleRstd: arena.carve(1, rows, for: .master),
        middleNormed: keepsNorms ? arena.carve(rows, width, for: .compute) : normed,
        gateUp: arena.carve(rows, 2 * config.hidden, for: .compute))
    }
    var layers: [Layer] = []
    let output: View
    if training, !keepsNorms {
      var input = arena.carve(rows, width, for: .master)
      for _ in 0..<config.layers {
        layers.append(layer(input: input, middle: arena.carve(rows, width, for: .master)))
        input = arena.carve(rows, width, for: .master)
      }
      output = input
    } else {
      // One residual stream, added to in place.
      output = arena.carve(rows, width, for: .master)
      layers.append(layer(input: output, middle: output))
      for _ in 1..<config.layers {
        layers.append(training ? layer(input: output, middle: output) : layers[0])
      }
    }
    let outputRstd = arena.carve(1, rows, for: .master)
    let nllNats = arena.carve(1, rows, for: .master)
    let repeated = carveRepeated(config, rows: rows, &arena)
    let tail = config.clusters?.widestTail ?? 0
    let clusters = ClusterScratch(
      projected: arena.carve(rows, tail, for: .compute),
      gradient: arena.carve(rows, training ? tail : 0, for: .compute),
      nllNats: arena.carve(tail > 0 ? 1 : 0, rows, for: .master))
    if keepsNorms {
      let (gradients, product) = carveSharing(config, rows: rows, &arena)
      return Parts(
        layers: layers, output: output, outputRstd: outputRstd, normed: normed, product: product,
        branch: gradients.branch, repeated: repeated, nllNats: nllNats,
        clusters: clusters, gradients: gradients)
    }
    return Parts(
      layers: layers, output: output, outputRstd: outputRstd, normed: normed,
      product: arena.carve(rows, config.hidden, for: .compute),
      branch: arena.carve(rows, width, for: .compute), repeated: repeated, nllNats: nllNats,
      clusters: clusters,
      gradients: training ? carveGradients(config, rows: rows, &arena) : nil)
  }

  /// Keys and values as a pass takes them where groups share them, or their gradients.
  private static func carveRepeated(
    _ config: ModelConfig, rows: Int, _ arena: inout Arena
  ) -> View {
    arena.carve(
      rows, config.isGrouped ? 2 * config.attentionWidth : 0, headWidth: config.headWidth)
  }

  private static func carveGradients(
    _ config: ModelConfig, rows: Int, _ arena: inout Arena
  ) -> Gradients {
    let width = config.width
    return Gradients(
      residual: arena.carve(rows, width, for: .master),
      normed: arena.carve(rows, width, for: .compute),
      branch: arena.carve(rows, width, for: .compute),
      attended: arena.carve(rows, config.attentionWidth, headWidth: config.headWidth),
      qkv: arena.carve(rows, config.qkvWidth, headWidth: config.headWidth),
      rawQK: arena.carve(
        rows, config.qkNorm ? config.queryKeyWidth : 0, headWidth: config.headWidth),
      repeated: carveRepeated(config, rows: rows, &arena),
      product: arena.carve(rows, config.hidden, for: .compute),
      gateUp: arena.carve(rows, 2 * config.hidden, for: .compute))
  }

  /// Gradients that take the place of what nobody reads any more, and the SwiGLU output, whose gradient
  /// does so too.
  private static func carveSharing(
    _ config: ModelConfig, rows: Int, _ arena: inout Arena
  ) -> (Gradients, product: View) {
    let width = config.width
    // The feed-forward layer is done before attention begins. What reaches the output projection through
    // dropout has been read when attention writes the gradients of queries.
    let (heads, branches) = arena.overlay(
      { arena in
        [config.qkvWidth, config.attentionWidth].map {
          arena.carve(rows, $0, headWidth: config.headWidth)
        }
      }, { arena in [width, config.hidden].map { arena.carve(rows, $0, for: .compute) } })
    let gradients = Gradients(
      residual: arena.carve(rows, width, for: .compute),
      normed: arena.carve(rows, width, for: .compute), branch: branches[0], attended: heads[1],
      qkv: heads[0],
      rawQK: arena.carve(
        rows, config.qkNorm ? config.queryKeyWidth : 0, headWidth: config.headWidth),
      repeated: carveRepeated(config, rows: rows, &arena),
      product: branches[1], gateUp: nil)
    return (gradients, branches[1])
  }
}
