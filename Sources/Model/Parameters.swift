import Deterministic
package import Tensor

/// One weight: its name in the checkpoint, its shape, and its place in the buffer.
package struct ParameterSlot: Sendable, Equatable {
  /// Hugging Face's Llama name, or our own for what Llama does not have.
  package let name: String
  /// `[rows, columns]` of a matrix; a vector has one row.
  package let rows: Int
  package let columns: Int
  package let role: ParameterRole
  /// First number inside the buffer.
  package let offset: Int
  /// Standard deviation of the initial values; nil for gains, which start at 1.
  package let initialDeviation: Double?

  package var count: Int { rows * columns }
  /// Shape as a checkpoint states it.
  package var shape: [Int] { role == .vector ? [columns] : [rows, columns] }
}

/// What a weight does, which decides how the optimizer moves it.
package enum ParameterRole: Sendable, Equatable {
  /// A row for every token of the vocabulary: embeddings and head, and what projects narrow rows.
  case table
  /// A matrix that maps one hidden state to another.
  case hidden
  /// A number for every head and distance, added to logits.
  case bias
  /// Gains and what else has one number for every channel.
  case vector

  /// Whether the optimizer decays it.
  package var decays: Bool { self == .table || self == .hidden }
}

/// The order of all weights in one buffer.
///
/// Weights that are multiplied by the same input stand side by side: query, key and value are one
/// matrix `[(H + 2K)·D, C]`, gate and up another `[2F, C]`, without a copy and under their usual names.
package struct ParameterLayout: Sendable {
  package let slots: [ParameterSlot]
  package let count: Int
  /// Where the embedding begins, every layer, and what comes after the layers.
  ///
  /// The backward pass ends with the first of them.
  package let stages: [Int]
  private let indexByName: [String: Int]

  package init(_ config: ModelConfig) {
    var slots: [ParameterSlot] = []
    var offset = 0
    var stages = [0]
    func add(
      _ name: String, _ role: ParameterRole, _ rows: Int, _ columns: Int, deviation: Double?
    ) {
      slots.append(
        ParameterSlot(
          name: name, rows: rows, columns: columns, role: role, offset: offset,
          initialDeviation: deviation))
      offset += rows * columns
    }
    let width = config.width
    let deviation = config.initialDeviation
    // Outputs onto the residual stream start smaller by the number of additions (Radford et al.,
    // 2019), so that its variance does not grow with depth; or as zeros.
    let residualDeviation =
      config.zeroInitResidual ? 0 : deviation / (2 * Double(config.layers)).squareRoot()
    let clusters = config.clusters
    let firstRows = clusters?.ranges[0].count ?? config.vocabularySize
    /// Entries behind the rows of the head, with which they are one matrix.
    func addEntries() {
      guard let clusters else { return }
      add("lm_head.clusters.weight", .table, clusters.tails, width, deviation: deviation)
    }
    add("model.embed_tokens.weight", .table, firstRows, width, deviation: deviation)
    if config.tiedHead { addEntries() }
    for (tail, range, narrow) in clusters?.eachTail ?? [] {
      add(
        "model.embed_tokens.tables.\(tail).weight", .table, range.count, narrow,
        deviation: deviation)
      // The width follows the frequency of tokens, the size of their embeddings does not.
      add(
        "model.embed_tokens.projections.\(tail).weight", .table, width, narrow,
        deviation: 1 / Double(narrow).squareRoot())
    }
    let mechanism = config.mechanism
    for layer in 0..<config.layers {
      let prefix = "model.layers.\(layer)."
      stages.append(offset)
      add(prefix + "input_layernorm.weight", .vector, 1, width, deviation: nil)
      let (queries, shared) = (config.attentionWidth, config.keyValueHeads * config.headWidth)
      let projections = [("q", queries), ("k", shared), ("v", shared)]
      for (name, rows) in projections {
        add(prefix + "self_attn.\(name)_proj.weight", .hidden, rows, width, deviation: deviation)
      }
      for (name, columns) in config.qkvBias ? projections : [] {
        add(prefix + "self_attn.\(name)_proj.bias", .vector, 1, columns, deviation: 0)
      }
      if config.qkNorm {
        for name in ["q", "k"] {
          add(
            prefix + "self_attn.\(name)_norm.weight", .vector, 1, config.headWidth, deviation: nil)
        }
      }
      if let biasLength = mechanism.biasLength {
        // Deviation 0.1 as in the authors' decoder.
        add(prefix + "self_attn.relative_bias", .bias, config.heads, biasLength, deviation: 0.1)
      }
      for weight in mechanism.ownWeights {
        add(
          prefix + "self_attn." + weight.name, weight.role, weight.rows, weight.columns,
          deviation: weight.deviation)
      }
      add(
        prefix + "self_attn.o_proj.weight", .hidden, width, queries, deviation: residualDeviation)
      if config.outputBias {
        add(prefix + "self_attn.o_proj.bias", .vector, 1, width, deviation: 0)
      }
      add(prefix + "post_attention_layernorm.weight", .vector, 1, width, deviation: nil)
      add(prefix + "mlp.gate_proj.weight", .hidden, config.hidden, width, deviation: deviation)
      add(prefix + "mlp.up_proj.weight", .hidden, config.hidden, width, deviation: deviation)
      add(
        prefix + "mlp.down_proj.weight", .hidden, width, config.hidden, deviation: residualDeviation
      )
    }
    stages.append(offset)
    add("model.norm.weight", .vector, 1, width, deviation: nil)
    if !config.tiedHead {
      add("lm_head.weight", .table, firstRows, width, deviation: deviation)
      addEntries()
    }
    for (tail, range, narrow) in clusters?.eachTail ?? [] {
      if !config.tiedHead {
        add("lm_head.tables.\(tail).weight", .table, range.count, narrow, deviation: deviation)
      }
      add(
        "lm_head.projections.\(tail).weight", .table, narrow, width,
        deviation: 1 / Double(width).squareRoot())
    }
    self.slots = slots
    self.stages = stages
    count = offset
    indexByName = Dictionary(uniqueKeysWithValues: slots.enumerated().map { ($1.name, $0) })
  }

  /// The slot of that name, if the model has it.
  package func slot(_ name: String) -> ParameterSlot? { indexByName[name].map { slots[$0] } }
}

/// Weights, gradients or moments: one buffer in the order of the layout.
package struct Parameters: Sendable {
  package let layout: ParameterLayout
  /// Where the buffer lies.
  package let device: any Device
  package let buffer: Buffer
  package let embedding: View  // [V, C]; tokens of the first cluster where there are clusters
  package let layers: [LayerParameters]
  package let finalNorm: View  // [1, C]
  /// `[V, C]`, the embedding itself if tied; with clusters those of the first, and an entry for each other.
  package let head: View
  package let tails: [TailParameters]
  /// Rows of n-grams, which are not among `all`; nil for gradients and moments, and where there are none.
  package var ngrams: NgramTables?

  /// Zeroed memory of its own.
  ///
  /// - Throws: `DeviceError.outOfMemory` if there is no such memory.
  package init(
    _ config: ModelConfig, on device: any Device, for use: NumberUse = .master
  ) throws(DeviceError) {
    self.init(
      config, buffer: try device.makeBuffer(count: ParameterLayout(config).count, for: use),
      on: device)
  }

  /// Over memory that is already filled in layout order.
  package init(_ config: ModelConfig, buffer: Buffer, on device: any Device) {
    let layout = ParameterLayout(config)
    precondition(buffer.count >= layout.count)
    self.device = device
    func view(_ name: String, rows: Int? = nil, columns: Int? = nil) -> View {
      guard let slot = layout.slot(name) else { preconditionFailure("no parameter \(name)") }
      return View(
        buffer, offset: slot.offset, rows: rows ?? slot.rows, columns: columns ?? slot.columns)
    }
    self.layout = layout
    self.buffer = buffer
    embedding = view("model.embed_tokens.weight")
    let ownWeights = config.mechanism.ownWeights
    layers = (0..<config.layers).map { layer in
      let prefix = "model.layers.\(layer)."
      return LayerParameters(
        inputNorm: view(prefix + "input_layernorm.weight"),
        qkv: view(prefix + "self_attn.q_proj.weight", rows: config.qkvWidth),
        qkvBias: config.qkvBias
          ? view(prefix + "self_attn.q_proj.bias", columns: config.qkvWidth) : nil,
        queryNorm: layout.slot(prefix + "self_attn.q_norm.weight").map { view($0.name) },
        keyNorm: layout.slot(prefix + "self_attn.k_norm.weight").map { view($0.name) },
        bias: layout.slot(prefix + "self_attn.relative_bias").map { view($0.name) },
        own: ownWeights.map { view(prefix + "self_attn." + $0.name) },
        output: view(prefix + "self_attn.o_proj.weight"),
        outputBias: config.outputBias ? view(prefix + "self_attn.o_proj.bias") : nil,
        feedForwardNorm: view(prefix + "post_attention_layernorm.weight"),
        gateUp: view(prefix + "mlp.gate_proj.weight", rows: 2 * config.hidden),
        down: view(prefix + "mlp.down_proj.weight"))
    }
    finalNorm = view("model.norm.weight")
    let headName = config.tiedHead ? "model.embed_tokens.weight" : "lm_head.weight"
    let clusters = config.clusters
    head = clusters.map { view(headName, rows: $0.headRows) } ?? view(headName)
    tails = (clusters?.eachTail ?? []).map { tail, _, _ in
      let inputTable = view("model.embed_tokens.tables.\(tail).weight")
      return TailParameters(
        inputTable: inputTable,
        inputProjection: view("model.embed_tokens.projections.\(tail).weight"),
        outputTable: config.tiedHead ? inputTable : view("lm_head.tables.\(tail).weight"),
        outputProjection: view("lm_head.projections.\(tail).weight"))
    }
  }

  /// The view of one slot.
  package func view(_ slot: ParameterSlot) -> View {
    View(buffer, offset: slot.offset, rows: slot.rows, columns: slot.columns)
  }

  /// All weights as one row.
  package var all: View { View(buffer, offset: 0, rows: 1, columns: layout.count) }

  /// Draws the initial weights: normal numbers from (seed, position in the layout), gains 1.
  ///
  /// They are drawn on the host, so that a run begins with the same weights on every device.
  package func initialize(seed: UInt64) throws(DeviceError) {
    for (index, slot) in layout.slots.enumerated() {
      guard let deviation = slot.initialDeviation else {
        device.fill(view(slot), with: 1)
        continue
      }
      guard deviation > 0 else {
        device.fill(view(slot), with: 0)
        continue
      }
      let random = CounterRandom(seed: seed, 0x1417, UInt64(index))
      // A part at a time: a table may be half of a model.
      for first in stride(from: 0, to: slot.count, by: 1 << 20) {
        let part = first..<min(slot.count, first + 1 << 20)
        let numbers = random.gaussians(part, deviation: deviation)
        try device.write(
          numbers, to: View(buffer, offset: slot.offset + first, rows: 1, columns: part.count))
      }
    }
  }
}

/// The weights of the tokens of one tail, `w` wide.
package struct TailParameters: Sendable {
  package let inputTable: View  // [tokens, w]
  package let inputProjection: View  // [C, w]
  package let outputTable: View  // [tokens, w]; the input's table if tied
  package let outputProjection: View  // [w, C]
}

/// The weights of one layer.
package struct LayerParameters: Sendable {
  package let inputNorm: View  // [1, C]
  package let qkv: View  // [(H + 2K)·D, C]
  package let qkvBias: View?  // [1, (H + 2K)·D], where there is one
  package let queryNorm: View?  // [1, D], with a norm of queries and keys
  package let keyNorm: View?  // [1, D]
  package let bias: View?  // [H, B]
  package let own: [View]  // weights that only this attention has
  package let output: View  // [C, H·D]
  package let outputBias: View?  // [1, C], where there is one
  package let feedForwardNorm: View  // [1, C]
  package let gateUp: View  // [2F, C]
  package let down: View  // [C, F]

  /// The same layer with the matrices of products from another; gains and biases stay.
  func matrices(_ other: LayerParameters) -> LayerParameters {
    LayerParameters(
      inputNorm: inputNorm, qkv: other.qkv, qkvBias: qkvBias, queryNorm: queryNorm,
      keyNorm: keyNorm, bias: bias, own: zip(own, other.own).map { $0.rows > 1 ? $1 : $0 },
      output: other.output, outputBias: outputBias, feedForwardNorm: feedForwardNorm,
      gateUp: other.gateUp, down: other.down)
  }
}
