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
  /// Attention heads, `H`; divides the width.
  package var heads: Int
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
  package var isLlama: Bool { isRotarySoftmax && !qkNorm }

  /// Whether Hugging Face's `Qwen3ForCausalLM` computes the same function.
  package var isQwen3: Bool { isRotarySoftmax && qkNorm }

  private var isRotarySoftmax: Bool {
    attention == .softmax && position == .rotary && ngrams.isEmpty
  }

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
    for (name, rows) in [("bigram_rows", bigramRows), ("trigram_rows", trigramRows)]
    where rows < 0 || rows > 1 << 28 {
      throw .invalid("\(name) is \(rows), expected 0 to \(1 << 28)")
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
    for id in [bosID, eosID] + otherEndIDs where !(0..<Int32(vocabularySize)).contains(id) {
      throw .invalid(
        "the special id \(id) lies outside the vocabulary of \(vocabularySize) tokens")
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
