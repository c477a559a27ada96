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

/// How the decoder knows the order of its tokens.
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
  /// Tokens, `V`.
  package var vocabularySize: Int
  /// Model width, `C`.
  package var width: Int
  package var layers: Int
  /// Attention heads, `H`; divides the width unless `ownHeadWidth` says how wide they are.
  package var heads: Int
  /// Heads of keys and values where they are fewer than `heads`; nil for as many.
  package var fewerKeyValueHeads: Int?
  /// Width of a head where it is not the width of the model by the heads; nil if it is.
  package var ownHeadWidth: Int?
  /// Whether the products that make queries, keys and values have biases, as in Qwen2.
  package var qkvBias = false
  /// Whether the output product of the attention has one, as in a Llama with `attention_bias`.
  package var outputBias = false
  /// Feed-forward width, `F`.
  package var hidden: Int
  package var attention: AttentionConfig = .softmax
  package var position: Position = .rotary
  /// Distances that the relative bias tells apart, `B`; larger ones share the last entry.
  package var relativeBiasLength = 32
  /// Whether queries and keys are normalised, head by head with gains of a head's width, before they are
  /// rotated, as in Qwen3 (after Dehghani et al., 2023, arXiv 2302.05442).
  package var qkNorm = false
  /// Rows of the table of hashed pairs of tokens that are added to the embeddings; 0 for none.
  package var bigramRows = 0
  /// Rows of the table of hashed triples of tokens; 0 for none.
  package var trigramRows = 0
  /// First ids of the clusters of the vocabulary but the first, ascending; empty for one softmax over all
  /// tokens.
  package var cutoffs: [Int] = []
  /// How much narrower the embeddings of a cluster are than those of the one before.
  package var clusterFactor = 4
  /// Whether the head is the embedding table.
  package var tiedHead = true
  package var normEpsilon: Float = 1e-5
  package var rotaryTheta: Double = 10_000
  /// Longest sequence the model promises to continue, in tokens; scoring has no limit.
  package var maximumLength = 2_048
  /// Standard deviation of the initial matrices.
  package var initialDeviation: Double = 0.02
  /// Whether the matrices onto the residual stream begin as zeros, so that every layer begins as the
  /// identity.
  package var zeroInitResidual = false
  package var bosID: Int32 = 1
  package var eosID: Int32 = 2
  /// Tokens that close a text as `eosID` does, where a model from elsewhere names several.
  package var otherEndIDs: [Int32] = []

  package init(vocabularySize: Int, width: Int, layers: Int, heads: Int, hidden: Int) {
    self.vocabularySize = vocabularySize
    self.width = width
    self.layers = layers
    self.heads = heads
    self.hidden = hidden
  }

  /// Width of one head, `D`.
  package var headWidth: Int { ownHeadWidth ?? width / heads }

  /// Heads of keys and values, `K`: each serves `heads / keyValueHeads` heads of queries that follow one
  /// another (grouped-query attention; Ainslie et al., 2023, arXiv 2305.13245).
  package var keyValueHeads: Int { fewerKeyValueHeads ?? heads }

  /// Whether heads of queries share those of keys and values.
  package var isGrouped: Bool { keyValueHeads < heads }

  /// Width of all queries, and of what the attention puts out, `H·D`.
  package var attentionWidth: Int { heads * headWidth }

  /// Width of queries and keys, which stand side by side, `(H + K)·D`.
  package var queryKeyWidth: Int { (heads + keyValueHeads) * headWidth }

  /// Width of queries, keys and values, `(H + 2K)·D`.
  package var qkvWidth: Int { (heads + 2 * keyValueHeads) * headWidth }

  /// The same model whose heads have keys and values of their own: what an attention sees in a pass.
  package var ungrouped: ModelConfig {
    var config = self
    config.fewerKeyValueHeads = nil
    return config
  }

  /// Says `nil` for what is so without being said, so that equal models are equal.
  package mutating func normaliseHeads() {
    if fewerKeyValueHeads == heads { fewerKeyValueHeads = nil }
    if let own = ownHeadWidth, heads > 0, width % heads == 0, own == width / heads {
      ownHeadWidth = nil
    }
  }

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
  package var isLlama: Bool { isRotarySoftmax && !qkNorm && qkvBias == outputBias }

  /// Whether Hugging Face's `Qwen2ForCausalLM` computes the same function.
  package var isQwen2: Bool { isRotarySoftmax && !qkNorm && qkvBias && !outputBias }

  /// Whether Hugging Face's `Qwen3ForCausalLM` computes the same function.
  package var isQwen3: Bool { isRotarySoftmax && qkNorm && qkvBias == outputBias }

  private var isRotarySoftmax: Bool {
    attention == .softmax && position == .rotary && ngrams.isEmpty && cutoffs.isEmpty
  }

  /// Throws the first thing that is wrong, in one sentence.
  package func validate() throws(ModelError) {
    for (name, value, most) in [
      ("vocab_size", vocabularySize, 1 << 24), ("hidden_size", width, 1 << 24),
      // Every layer has a dozen names, which a file of a few bytes must not ask for by the million.
      ("num_hidden_layers", layers, 1 << 12), ("num_attention_heads", heads, 1 << 24),
      ("num_key_value_heads", keyValueHeads, 1 << 24), ("head_dim", ownHeadWidth ?? 1, 1 << 24),
      ("intermediate_size", hidden, 1 << 24), ("max_position_embeddings", maximumLength, 1 << 24),
      ("relative_bias_length", relativeBiasLength, 1 << 24),
    ] where value < 1 || value > most {
      throw .invalid("\(name) is \(value), expected 1 to \(most)")
    }
    for (name, rows) in [("bigram_rows", bigramRows), ("trigram_rows", trigramRows)]
    where rows < 0 || rows > 1 << 28 {
      throw .invalid("\(name) is \(rows), expected 0 to \(1 << 28)")
    }
    try validateClusters()
    guard ownHeadWidth != nil || width % heads == 0 else {
      throw .invalid(
        "the width \(width) is not a multiple of the \(heads) heads; choose heads that divide it, or say "
          + "how wide a head is with --head-dim")
    }
    guard heads % keyValueHeads == 0 else {
      throw .invalid(
        "num_key_value_heads is \(keyValueHeads), expected a divisor of the \(heads) attention heads, each "
          + "of which reads the keys and values of one")
    }
    // Far above any model, and low enough that a product of it with a width does not overflow.
    guard heads <= (1 << 30) / headWidth else {
      throw .invalid(
        "heads of \(headWidth), \(heads) of them, are too many numbers, expected at most \(1 << 30); choose "
          + "fewer or narrower heads")
    }
    guard qkvBias || !outputBias else {
      throw .invalid(
        "the output of the attention has a bias, but queries, keys and values have none; expected both or "
          + "that of queries, keys and values alone")
    }
    guard position != .rotary || headWidth % 2 == 0 else {
      throw .invalid("rotary positions need an even head width, found \(headWidth)")
    }
    guard normEpsilon > 0, normEpsilon.isFinite, rotaryTheta > 0, rotaryTheta.isFinite else {
      throw .invalid("rms_norm_eps and rope_theta must be positive and finite")
    }
    for id in [bosID, eosID] + otherEndIDs where !(0..<Int32(vocabularySize)).contains(id) {
      throw .invalid(
        "vocab_size is \(vocabularySize), expected more than the special id \(id), which must be 0 or more"
      )
    }
    guard !qkNorm || attention.kind != .yoso else {
      throw .invalid(
        "qk_norm is true, but yoso attention looks at the directions of queries and keys alone; leave out "
          + "--qk-norm")
    }
    try attention.options.validate(self)
    guard approximateParameters <= Double(Self.mostParameters) else {
      throw .invalid(
        "the dimensions make a model of \(approximateParameters) weights, expected at most "
          + "\(Self.mostParameters); choose a smaller vocabulary, width or number of layers")
    }
  }

  private func validateClusters() throws(ModelError) {
    guard !cutoffs.isEmpty else { return }
    guard cutoffs.count <= 8, zip([0] + cutoffs, cutoffs + [vocabularySize]).allSatisfy(<) else {
      throw .invalid(
        "adaptive_cutoffs is \(cutoffs), expected up to 8 ids between 0 and vocab_size, "
          + "\(vocabularySize), each larger than the one before")
    }
    guard (1...64).contains(clusterFactor) else {
      throw .invalid("adaptive_factor is \(clusterFactor), expected 1 to 64")
    }
  }

  /// Far above any machine this runs on, and low enough that no product of shapes overflows.
  private static let mostParameters = 1 << 40

  /// The number of weights in floating point, where it cannot overflow.
  private var approximateParameters: Double {
    let (width, hidden) = (Double(width), Double(hidden))
    let own = mechanism.ownWeights.reduce(0.0) { $0 + Double($1.rows) * Double($1.columns) }
    let bias = Double(heads) * Double(mechanism.biasLength ?? 0)
    let biases = (qkvBias ? Double(qkvWidth) : 0) + (outputBias ? width : 0)
    let attention = (Double(qkvWidth) + Double(attentionWidth)) * width
    let layer = attention + 3 * width * hidden + 2 * width + biases + bias + own
    let tables =
      clusters.map { Double($0.parameters(tied: tiedHead)) }
      ?? (tiedHead ? 1 : 2) * Double(vocabularySize) * width
    return tables + Double(layers) * layer + width
  }
}
