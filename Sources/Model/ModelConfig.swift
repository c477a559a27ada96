/// Why a model cannot be built or read.
package enum ModelError: Error, CustomStringConvertible, Equatable {
  /// A dimension or option that no model can have.
  case invalid(String)
  /// A file of weights or its description that does not hold what was expected.
  case file(path: String, problem: String)

  package var description: String {
    switch self {
    case .invalid(let problem): problem
    case .file(let path, let problem): "\(path): \(problem)"
    }
  }
}

/// How the decoder knows the order of its pieces.
package enum Position: String, Codable, Sendable, CaseIterable {
  /// Rotary embedding of queries and keys (Su et al., 2021, arXiv 2104.09864), two-halves
  /// convention as in Llama.
  case rotary
  /// A learned table `[H, relativeBiasLength]` added to the logits by distance.
  case relativeBias
  /// Fixed sines and cosines added to the embeddings (Vaswani et al., 2017, section 3.5), of the
  /// embeddings' initial size.
  case sinusoidal
}

/// Every dimension of the decoder; `config.json` of a checkpoint.
///
/// The JSON keys are those of Hugging Face's Llama, so that a softmax model with rotary positions
/// opens there as it is. Other models use the same keys and another `model_type`, so that they are
/// never opened as something they are not.
package struct ModelConfig: Sendable, Equatable {
  /// Pieces, `V`.
  package var vocabularySize: Int
  /// Model width, `C`.
  package var width: Int
  package var layers: Int
  /// Attention heads, `H`; divides the width.
  package var heads: Int
  /// Feed-forward width, `F`.
  package var hidden: Int
  package var attention: AttentionConfig = .softmax
  package var position: Position = .rotary
  /// Distances that the relative bias tells apart, `B`; larger ones share the last entry.
  package var relativeBiasLength = 32
  /// Whether the head is the embedding table.
  package var tiedHead = true
  package var normEpsilon: Float = 1e-5
  package var rotaryTheta: Double = 10_000
  /// Longest sequence the model promises to continue, in pieces; scoring has no limit.
  package var maximumLength = 2_048
  /// Standard deviation of the initial matrices.
  package var initialDeviation: Double = 0.02
  package var bosID: Int32 = 1
  package var eosID: Int32 = 2

  package init(vocabularySize: Int, width: Int, layers: Int, heads: Int, hidden: Int) {
    self.vocabularySize = vocabularySize
    self.width = width
    self.layers = layers
    self.heads = heads
    self.hidden = hidden
  }

  /// Width of one head, `D`.
  package var headWidth: Int { width / heads }

  /// Factor of the attention logits.
  package var attentionScale: Float { 1 / Float(headWidth).squareRoot() }

  /// Amplitude of sinusoidal positions, √2 times the deviation of the initial embeddings.
  ///
  /// Positions and embeddings then have the same variance at first, as in Vaswani et al. (2017,
  /// section 3.4), who multiply embeddings of deviation C^-½ by C^½. Sines of amplitude 1 would
  /// drown embeddings of deviation 0.02 for the first thousands of steps.
  package var sinusoidAmplitude: Double { 2.0.squareRoot() * initialDeviation }

  /// The attention of every layer.
  package var mechanism: any AttentionMechanism { attention.options.mechanism(self) }

  /// Changes the attention and takes the positions that go with it.
  package mutating func use(_ attention: AttentionConfig) {
    self.attention = attention
    position = attention.options.defaultPosition
    if let biasLength = attention.options.biasLength { relativeBiasLength = biasLength }
  }

  /// Whether Hugging Face's `LlamaForCausalLM` computes the same function.
  package var isLlama: Bool { attention == .softmax && position == .rotary }

  /// Throws the first thing that is wrong, in one sentence.
  package func validate() throws(ModelError) {
    for (name, value, most) in [
      ("vocab_size", vocabularySize, 1 << 24), ("hidden_size", width, 1 << 24),
      // Every layer has a dozen names, which a file of a few bytes must not ask for by the million.
      ("num_hidden_layers", layers, 1 << 12), ("num_attention_heads", heads, 1 << 24),
      ("intermediate_size", hidden, 1 << 24), ("max_position_embeddings", maximumLength, 1 << 24),
      ("relative_bias_length", relativeBiasLength, 1 << 24),
    ] where value < 1 || value > most {
      throw .invalid("\(name) is \(value), expected 1 to \(most)")
    }
    guard width % heads == 0 else {
      throw .invalid(
        "the width \(width) is not a multiple of the \(heads) heads; choose heads that divide it")
    }
    guard position != .rotary || headWidth % 2 == 0 else {
      throw .invalid("rotary positions need an even head width, found \(headWidth)")
    }
    guard normEpsilon > 0, normEpsilon.isFinite, rotaryTheta > 0, rotaryTheta.isFinite else {
      throw .invalid("rms_norm_eps and rope_theta must be positive and finite")
    }
    guard (0..<Int32(vocabularySize)).contains(bosID), (0..<Int32(vocabularySize)).contains(eosID)
    else {
      throw .invalid(
        "special ids \(bosID) and \(eosID) lie outside the vocabulary of \(vocabularySize) pieces")
    }
    try attention.options.validate(self)
    guard approximateParameters <= Double(Self.mostParameters) else {
      throw .invalid(
        "the dimensions make a model of \(approximateParameters) weights, expected at most "
          + "\(Self.mostParameters); choose a smaller vocabulary, width or number of layers")
    }
  }

  /// Far above any machine this runs on, and low enough that no product of shapes overflows.
  private static let mostParameters = 1 << 40

  /// The number of weights in floating point, where it cannot overflow.
  private var approximateParameters: Double {
    let (width, hidden) = (Double(width), Double(hidden))
    let own = mechanism.ownWeights.reduce(0.0) { $0 + Double($1.rows) * Double($1.columns) }
    let bias = Double(heads) * Double(mechanism.biasLength ?? 0)
    let layer = 4 * width * width + 3 * width * hidden + 2 * width + bias + own
    let tables = (tiedHead ? 1 : 2) * Double(vocabularySize) * width
    return tables + Double(layers) * layer + width
  }
}

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
    case tiedHead = "tie_word_embeddings"
    case normEpsilon = "rms_norm_eps"
    case rotaryTheta = "rope_theta"
    case rotaryScaling = "rope_scaling"
    case rotaryParameters = "rope_parameters"
    case maximumLength = "max_position_embeddings"
    case initialDeviation = "initializer_range"
    case bosID = "bos_token_id"
    case eosID = "eos_token_id"
    case attentionBias = "attention_bias"
    case feedForwardBias = "mlp_bias"
    case numberType = "torch_dtype"
  }

  private static let ownType = "billion-word-decoder"

  package func encode(to encoder: any Encoder) throws {
    var fields = encoder.container(keyedBy: Key.self)
    try fields.encode(
      [isLlama ? "LlamaForCausalLM" : "BillionWordDecoder"], forKey: .architectures)
    try fields.encode(isLlama ? "llama" : Self.ownType, forKey: .modelType)
    try fields.encode(vocabularySize, forKey: .vocabularySize)
    try fields.encode(width, forKey: .width)
    try fields.encode(layers, forKey: .layers)
    try fields.encode(heads, forKey: .heads)
    try fields.encode(heads, forKey: .keyValueHeads)
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
    try fields.encode(bosID, forKey: .bosID)
    try fields.encode(eosID, forKey: .eosID)
    try fields.encode(false, forKey: .attentionBias)
    try fields.encode(false, forKey: .feedForwardBias)
    try fields.encode("float32", forKey: .numberType)
  }

  package init(from decoder: any Decoder) throws {
    let fields = try decoder.container(keyedBy: Key.self)
    try Self.rejectForeignType(fields)
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
    // The defaults of the Llama configuration, which its writers leave out.
    tiedHead = try value(.tiedHead, false)
    normEpsilon = try value(.normEpsilon, 1e-6)
    rotaryTheta = try value(.rotaryTheta, rotaryTheta)
    // Where newer writers put the angle.
    if let rotary = try fields.decodeIfPresent(RotaryParameters.self, forKey: .rotaryParameters) {
      rotaryTheta = try rotary.theta(orElse: rotaryTheta)
    }
    maximumLength = try value(.maximumLength, maximumLength)
    initialDeviation = try value(.initialDeviation, initialDeviation)
    bosID = try value(.bosID, bosID)
    eosID = try value(.eosID, eosID)
    // First of all, so that no arithmetic below meets a number of heads such as 0.
    try validate()
    try rejectForeignFeatures(fields)
  }

  /// Refuses a model of another family.
  private static func rejectForeignType(_ fields: KeyedDecodingContainer<Key>) throws {
    let type = try fields.decodeIfPresent(String.self, forKey: .modelType) ?? ownType
    guard type == "llama" || type == ownType else {
      throw ModelError.invalid(
        "model_type is \"\(type)\", expected \"llama\" or \"\(ownType)\"")
    }
  }

  /// Refuses a Llama variant that this decoder would compute wrongly; dimensions are valid.
  private func rejectForeignFeatures(_ fields: KeyedDecodingContainer<Key>) throws {
    let keyValueHeads = try fields.decodeIfPresent(Int.self, forKey: .keyValueHeads) ?? heads
    guard keyValueHeads == heads else {
      throw ModelError.invalid(
        "num_key_value_heads is \(keyValueHeads), expected \(heads) as there are heads: grouped-query "
          + "attention is not supported; repeat the rows of k_proj and v_proj \(heads) / "
          + "\(keyValueHeads) times to open this model")
    }
    guard try fields.decodeIfPresent(Int.self, forKey: .headWidth) ?? headWidth == headWidth,
      try fields.decodeIfPresent(String.self, forKey: .activation) ?? "silu" == "silu",
      try fields.decodeIfPresent(Bool.self, forKey: .attentionBias) ?? false == false,
      try fields.decodeIfPresent(Bool.self, forKey: .feedForwardBias) ?? false == false,
      try !fields.contains(.rotaryScaling) || fields.decodeNil(forKey: .rotaryScaling)
    else {
      throw ModelError.invalid(
        "the model uses head_dim, hidden_act, biases or rope_scaling that are not supported; "
          + "expected head_dim = hidden_size / heads, silu, no biases, no scaling")
    }
  }
}

/// The key `rope_parameters` of a Llama configuration.
private struct RotaryParameters: Decodable {
  let type: String?
  let theta: Double?

  private enum CodingKeys: String, CodingKey {
    case type = "rope_type"
    case theta = "rope_theta"
  }

  func theta(orElse theta: Double) throws(ModelError) -> Double {
    guard type ?? "default" == "default" else {
      throw .invalid(
        "rope_type is \"\(type ?? "")\", expected \"default\": scaled rotary positions are not "
          + "supported")
    }
    return self.theta ?? theta
  }
}
