extension ModelConfig: Codable {
  private enum Key: String, CodingKey {
    case architectures
    case modelType = "model_type"
    case vocabularySize = "vocab_size"
    case width = "hidden_size"
    case layers = "num_hidden_layers"
    case heads = "num_attention_heads"
    case keyValueHeads = "num_key_value_heads"
    case headWidth = "head_dim"
    case hidden = "intermediate_size"
    case activation = "hidden_act"
    case attention
    case position
    case relativeBiasLength = "relative_bias_length"
    case qkNorm = "qk_norm"
    case bigramRows = "bigram_rows"
    case trigramRows = "trigram_rows"
    case cutoffs = "adaptive_cutoffs"
    case clusterFactor = "adaptive_factor"
    case slidingWindow = "use_sliding_window"
    case layerTypes = "layer_types"
    case tiedHead = "tie_word_embeddings"
    case normEpsilon = "rms_norm_eps"
    case rotaryTheta = "rope_theta"
    case rotaryScaling = "rope_scaling"
    case rotaryParameters = "rope_parameters"
    case rotaryShare = "partial_rotary_factor"
    case maximumLength = "max_position_embeddings"
    case initialDeviation = "initializer_range"
    case zeroInitResidual = "zero_init_residual"
    case bosID = "bos_token_id"
    case eosID = "eos_token_id"
    case qkvBias = "qkv_bias"
    case attentionBias = "attention_bias"
    case feedForwardBias = "mlp_bias"
    case numberType = "torch_dtype"
  }

  private static let ownType = "billion-word-decoder"
  private static let biasedType = "qwen2"
  private static let normedType = "qwen3"

  /// The class of transformers that computes the same, and its `model_type`; our own where none does.
  private var architecture: (name: String, type: String) {
    if isLlama { return ("LlamaForCausalLM", "llama") }
    if isQwen2 { return ("Qwen2ForCausalLM", Self.biasedType) }
    if isQwen3 { return ("Qwen3ForCausalLM", Self.normedType) }
    return ("BillionWordDecoder", Self.ownType)
  }

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    let (architecture, type) = architecture
    try fields.encode([architecture], forKey: .architectures)
    try fields.encode(type, forKey: .modelType)
    try fields.encode(vocabularySize, forKey: .vocabularySize)
    try fields.encode(width, forKey: .width)
    try fields.encode(layers, forKey: .layers)
    try fields.encode(heads, forKey: .heads)
    try fields.encode(keyValueHeads, forKey: .keyValueHeads)
    try fields.encode(headWidth, forKey: .headWidth)
    try fields.encode(hidden, forKey: .hidden)
    try fields.encode("silu", forKey: .activation)
    try fields.encode(attention, forKey: .attention)
    try fields.encode(position, forKey: .position)
    try fields.encode(relativeBiasLength, forKey: .relativeBiasLength)
    try fields.encode(tiedHead, forKey: .tiedHead)
    try fields.encode(normEpsilon, forKey: .normEpsilon)
    try fields.encode(rotaryTheta, forKey: .rotaryTheta)
    try fields.encode(maximumLength, forKey: .maximumLength)
    try fields.encode(initialDeviation, forKey: .initialDeviation)
    // Left out where they are as ever: a checkpoint without them has the bytes that it always had.
    if qkNorm { try fields.encode(true, forKey: .qkNorm) }
    if qkvBias, !outputBias { try fields.encode(true, forKey: .qkvBias) }
    if bigramRows > 0 { try fields.encode(bigramRows, forKey: .bigramRows) }
    if trigramRows > 0 { try fields.encode(trigramRows, forKey: .trigramRows) }
    if !cutoffs.isEmpty {
      try fields.encode(cutoffs, forKey: .cutoffs)
      try fields.encode(clusterFactor, forKey: .clusterFactor)
    }
    if zeroInitResidual { try fields.encode(true, forKey: .zeroInitResidual) }
    try fields.encode(bosID, forKey: .bosID)
    if otherEndIDs.isEmpty {
      try fields.encode(eosID, forKey: .eosID)
    } else {
      try fields.encode([eosID] + otherEndIDs, forKey: .eosID)
    }
    try fields.encode(outputBias, forKey: .attentionBias)
    try fields.encode(false, forKey: .feedForwardBias)
    try fields.encode("float32", forKey: .numberType)
  }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    let type = try Self.knownType(fields)
    func value<T: Decodable>(_ key: Key, _ fallback: T) throws -> T {
      try fields.decodeIfPresent(T.self, forKey: key) ?? fallback
    }
    self.init(
      vocabularySize: try fields.decode(Int.self, forKey: .vocabularySize),
      width: try fields.decode(Int.self, forKey: .width),
      layers: try fields.decode(Int.self, forKey: .layers),
      heads: try fields.decode(Int.self, forKey: .heads),
      hidden: try fields.decode(Int.self, forKey: .hidden))
    attention = try value(.attention, .softmax)
    position = try value(.position, .rotary)
    relativeBiasLength = try value(.relativeBiasLength, relativeBiasLength)
    bigramRows = try value(.bigramRows, 0)
    trigramRows = try value(.trigramRows, 0)
    cutoffs = try value(.cutoffs, [])
    clusterFactor = try value(.clusterFactor, clusterFactor)
    qkNorm = try value(.qkNorm, type == Self.normedType)
    let isQwen = [Self.biasedType, Self.normedType].contains(type)
    // What transformers takes where a key of theirs is not there at all.
    fewerKeyValueHeads =
      isQwen && !fields.contains(.keyValueHeads)
      ? 32 : try fields.decodeIfPresent(Int.self, forKey: .keyValueHeads)
    ownHeadWidth =
      type == Self.normedType && !fields.contains(.headWidth)
      ? 128 : try fields.decodeIfPresent(Int.self, forKey: .headWidth)
    normaliseHeads()
    // A Qwen2 has biases of queries, keys and values whatever it says, and none of the output.
    outputBias = try type != Self.biasedType && value(.attentionBias, false)
    qkvBias = try outputBias || value(.qkvBias, type == Self.biasedType)
    // The defaults of the Llama configuration, which its writers leave out.
    tiedHead = try value(.tiedHead, false)
    normEpsilon = try value(.normEpsilon, 1e-6)
    rotaryTheta = try value(.rotaryTheta, rotaryTheta)
    // What transformers looks at: the first of the two that is not empty, whose own angle counts
    // before the one beside it.
    for key in [Key.rotaryScaling, .rotaryParameters] {
      let rotary = try fields.decodeIfPresent(RotaryParameters.self, forKey: key)
      guard let rotary, !rotary.isEmpty else { continue }
      rotaryTheta = try rotary.theta(orElse: rotaryTheta)
      break
    }
    maximumLength = try value(.maximumLength, isQwen ? 32_768 : maximumLength)
    initialDeviation = try value(.initialDeviation, initialDeviation)
    zeroInitResidual = try value(.zeroInitResidual, false)
    bosID = try value(.bosID, bosID)
    let ends = try value(.eosID, EndIDs(all: [eosID])).all
    eosID = ends[0]
    otherEndIDs = Array(ends.dropFirst())
    // First of all, so that no arithmetic below meets a number of heads such as 0.
    try validate()
    try rejectForeignFeatures(fields)
  }

  /// The family of the model; another is refused.
  private static func knownType(_ fields: KeyedDecodingContainer<Key>) throws -> String {
    let type = try fields.decodeIfPresent(String.self, forKey: .modelType) ?? ownType
    guard ["llama", biasedType, normedType, ownType].contains(type) else {
      throw ModelError.invalid(
        "model_type is \"\(type)\", expected \"llama\", \"\(biasedType)\", \"\(normedType)\" or "
          + "\"\(ownType)\"")
    }
    return type
  }

  /// Refuses a Llama variant that this decoder would compute wrongly; dimensions are valid.
  private func rejectForeignFeatures(_ fields: KeyedDecodingContainer<Key>) throws {
    func refuse(_ found: String, _ expected: String) -> ModelError {
      .invalid("\(found), expected \(expected): a Llama with anything else is not supported")
    }
    let activation = try fields.decodeIfPresent(String.self, forKey: .activation) ?? "silu"
    // Two names of one function.
    guard ["silu", "swish"].contains(activation) else {
      throw refuse("hidden_act is \"\(activation)\"", "\"silu\"")
    }
    guard try fields.decodeIfPresent(Bool.self, forKey: .feedForwardBias) != true else {
      throw refuse("mlp_bias is true", "no biases, false")
    }
    guard try fields.decodeIfPresent(Bool.self, forKey: .slidingWindow) != true else {
      throw refuse("use_sliding_window is true", "false")
    }
    let types = try fields.decodeIfPresent([String].self, forKey: .layerTypes) ?? []
    if let other = types.first(where: { $0 != "full_attention" }) {
      throw refuse("layer_types has \"\(other)\"", "\"full_attention\" alone")
    }
    let share = try fields.decodeIfPresent(Double.self, forKey: .rotaryShare) ?? 1
    guard share == 1 else { throw refuse("partial_rotary_factor is \(share)", "1") }
  }
}

/// The key `eos_token_id` of a Llama configuration: one token, or several that close a text alike.
private struct EndIDs: Decodable {
  let all: [Int32]

  init(all: [Int32]) { self.all = all }

  init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    if let id = try? container.decode(Int32.self) {
      all = [id]
    } else {
      all = try container.decode([Int32].self)
    }
    guard !all.isEmpty else {
      throw ModelError.invalid("eos_token_id is an empty list, expected at least one token")
    }
  }
}

/// The keys `rope_scaling` and `rope_parameters` of a Llama configuration.
private struct RotaryParameters: Decodable {
  let type: String?
  /// What `rope_type` was called at first.
  let formerType: String?
  let theta: Double?
  let share: Double?
  let factor: Double?

  private enum CodingKeys: String, CodingKey {
    case type = "rope_type"
    case formerType = "type"
    case theta = "rope_theta"
    case share = "partial_rotary_factor"
    case factor
  }

  var isEmpty: Bool {
    type == nil && formerType == nil && theta == nil && share == nil && factor == nil
  }

  func theta(orElse theta: Double) throws(ModelError) -> Double {
    let type = type ?? formerType ?? "default"
    guard type == "default" else {
      throw .invalid(
        "rope_type is \"\(type)\", expected \"default\": scaled rotary positions are not supported")
    }
    guard share ?? 1 == 1 else {
      throw .invalid(
        "partial_rotary_factor is \(share ?? 1), expected 1: the whole head is rotated")
    }
    return self.theta ?? theta
  }
}
