package import Model
import Storage
import Tensor
package import Tokenize

/// A softmax model with rotary positions as one file for llama.cpp: a `llama`, with biases of queries, keys
/// and values a `qwen2`, with normalised queries and keys a `qwen3`.
package struct GGUFModel {
  private let model: Transformer
  private let tokenizer: SentencePieceModel
  private let name: String

  /// - Parameters:
  ///   - model: The model.
  ///   - tokenizer: Its tokenizer.
  ///   - name: What programs show of it.
  /// - Throws: `ExportError` for a model that llama.cpp does not compute.
  package init(
    _ model: Transformer, tokenizer: SentencePieceModel, name: String
  ) throws(ExportError) {
    let config = model.config
    if let obstacle = Self.obstacle(config) {
      throw .invalid(
        "GGUF is for softmax attention with rotary positions, found \(obstacle); bf16 and fp16 open in "
          + "transformers")
    }
    self.model = model
    self.tokenizer = tokenizer
    self.name = name
  }

  /// What llama.cpp does not compute of a model, or nil.
  private static func obstacle(_ config: ModelConfig) -> String? {
    if config.attention != .softmax { return "\(config.attention.kind.rawValue) attention" }
    if config.position != .rotary { return "\(config.position.rawValue) positions" }
    if !config.ngrams.isEmpty { return "rows of n-grams" }
    if !config.cutoffs.isEmpty { return "clusters of the vocabulary" }
    if config.qkNorm, config.qkvBias { return "normalised queries and keys with biases" }
    return nil
  }

  /// What llama.cpp calls the model.
  ///
  /// A `qwen2` there has heads as wide as the model by their number; a `llama` may have any, and biases.
  private var kind: String {
    let config = model.config
    if config.qkNorm { return "qwen3" }
    return config.isQwen2 && config.attentionWidth == config.width ? "qwen2" : "llama"
  }

  /// Writes the file, whole or not at all.
  package func write(to path: String) throws {
    let slots = model.parameters.layout.slots
    let file = GGUFFile(
      metadata: metadata + GGUFTokenizer(tokenizer, rows: model.config.vocabularySize).metadata,
      tensors: slots.map { GGUFFile.Tensor(name: Self.name($0.name), shape: $0.shape) })
    let rows = WeightRows(parameters: model.parameters)
    try AtomicFile.write(to: path) { writer in
      try writer.append(file.header)
      for (slot, tensor) in zip(slots, file.tensors) {
        try rows.forEachPart(of: slot, as: .float32, row: order(of: slot)) { try writer.append($0) }
        try writer.append([UInt8](repeating: 0, count: GGUFFile.padding(after: tensor.bytes)))
      }
    }
  }

  private var metadata: [(key: String, value: GGUFFile.Value)] {
    let (config, kind) = (model.config, kind)
    func number(_ count: Int) -> GGUFFile.Value { .uint32(UInt32(count)) }
    return [
      ("general.architecture", .string(Array(kind.utf8))),
      ("general.type", .string(Array("model".utf8))),
      ("general.name", .string(Array(name.utf8))),
      // Every number is a float32.
      ("general.file_type", .uint32(0)),
      (kind + ".vocab_size", number(config.vocabularySize)),
      (kind + ".block_count", number(config.layers)),
      (kind + ".context_length", number(config.maximumLength)),
      (kind + ".embedding_length", number(config.width)),
      (kind + ".feed_forward_length", number(config.hidden)),
      (kind + ".attention.head_count", number(config.heads)),
      (kind + ".attention.head_count_kv", number(config.keyValueHeads)),
      (kind + ".attention.key_length", number(config.headWidth)),
      (kind + ".attention.value_length", number(config.headWidth)),
      (kind + ".attention.layer_norm_rms_epsilon", .float32(config.normEpsilon)),
      (kind + ".rope.dimension_count", number(config.headWidth)),
      (kind + ".rope.freq_base", .float32(Float(config.rotaryTheta))),
    ]
  }

  /// The number of a weight's row, or of a bias, that stands at a place of its tensor.
  ///
  /// A `llama` there rotates neighbouring channels of a head, where here the channel of the second half is
  /// rotated with that of the first; a `qwen2` and a `qwen3` rotate as here.
  private func order(of slot: ParameterSlot) -> (Int) -> Int {
    let width = model.config.headWidth
    let isRotated = ["q_proj.weight", "q_proj.bias", "k_proj.weight", "k_proj.bias"]
      .contains { slot.name.hasSuffix("self_attn." + $0) }
    guard isRotated, kind == "llama" else { return { $0 } }
    return { place in
      let channel = place % width
      return place - channel + channel % 2 * (width / 2) + channel / 2
    }
  }

  private static let layerNames = [
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "self_attn.o_proj": "attn_output",
    "post_attention_layernorm": "ffn_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
  ]

  /// What llama.cpp calls a weight.
  private static func name(_ name: String) -> String {
    switch name {
    case "model.embed_tokens.weight": return "token_embd.weight"
    case "model.norm.weight": return "output_norm.weight"
    case "lm_head.weight": return "output.weight"
    default:
      // model.layers.N.NAME.weight, or bias
      let parts = name.split(separator: ".").map(String.init)
      guard let known = layerNames[parts[3..<parts.count - 1].joined(separator: ".")] else {
        preconditionFailure("llama.cpp has no name for \(name)")
      }
      return "blk.\(parts[2]).\(known).\(parts[parts.count - 1])"
    }
  }
}
