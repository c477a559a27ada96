import Foundation
import Model
import Storage
import TestSupport
import Testing

struct ModelConfigTests {
  @Test(arguments: Variant.all) func survivesJSON(variant: Variant) throws {
    let bytes = try JSONFile.encode(variant.config)
    let back = try JSONFile.decode(ModelConfig.self, from: bytes, path: "config.json")
    #expect(back == variant.config)
  }

  @Test func onlyALlamaCallsItselfOne() throws {
    for variant in Variant.all {
      let text = String(decoding: try JSONFile.encode(variant.config), as: UTF8.self)
      let name = variant.testDescription
      let llamas = ["softmax rotary", "Llama, shared keys", "Llama, biases"]
      #expect(text.contains("LlamaForCausalLM") == llamas.contains(name))
      #expect(text.contains("Qwen2ForCausalLM") == (name == "Qwen2"))
      let normed = ["softmax rotary, heads normed", "Qwen3, shared keys, wide heads"]
      #expect(text.contains("Qwen3ForCausalLM") == normed.contains(name))
    }
  }

  /// Keys of options that are left alone are absent: earlier versions and their sums know none.
  @Test func optionsThatAreOffLeaveNoKeys() throws {
    var config = Variant.all[0].config
    for key in ["qk_norm", "zero_init_residual", "qkv_bias"] {
      #expect(!String(decoding: try JSONFile.encode(config), as: UTF8.self).contains(key))
    }
    config.zeroInitResidual = true
    config.qkNorm = true
    let bytes = try JSONFile.encode(config)
    #expect(try JSONFile.decode(ModelConfig.self, from: bytes, path: "config.json") == config)
    // A Qwen3 of others says it by its name alone.
    let text = String(decoding: bytes, as: UTF8.self)
    let foreign = text.replacing(try Regex("\n +\"qk_norm\" : true,"), with: "")
    #expect(foreign != text)
    #expect(
      try JSONFile.decode(ModelConfig.self, from: Array(foreign.utf8), path: "config.json")
        == config)
    let sliding = text.replacing("\"qk_norm\" : true", with: "\"use_sliding_window\" : true")
    #expect(throws: (any Error).self) {
      try JSONFile.decode(ModelConfig.self, from: Array(sliding.utf8), path: "config.json")
    }
  }

  @Test func yosoHasNoNormOfItsOwn() throws {
    var config = Variant.all[0].config
    config.use(AttentionConfig(YosoOptions()))
    config.qkNorm = true
    let error = #expect(throws: ModelError.self) { try config.validate() }
    #expect(error?.description.contains("leave out --qk-norm") == true)
  }

  @Test func refusesWhatItWouldComputeWrongly() throws {
    let text = String(decoding: try JSONFile.encode(Variant.all[0].config), as: UTF8.self)
    for (old, new, word) in [
      ("\"num_key_value_heads\" : 3", "\"num_key_value_heads\" : 2", "num_key_value_heads is 2"),
      ("\"num_key_value_heads\" : 3", "\"num_key_value_heads\" : 0", "num_key_value_heads is 0"),
      ("\"num_key_value_heads\" : 3", "\"num_key_value_heads\" : 6", "num_key_value_heads is 6"),
      ("\"head_dim\" : 8", "\"head_dim\" : 0", "head_dim is 0"),
      ("\"head_dim\" : 8", "\"head_dim\" : \(Int.max)", "head_dim is \(Int.max)"),
      ("\"head_dim\" : 8", "\"head_dim\" : 5", "even head width, found 5"),
      ("\"hidden_act\" : \"silu\"", "\"hidden_act\" : \"gelu\"", "hidden_act"),
      ("\"model_type\" : \"llama\"", "\"model_type\" : \"gpt2\"", "gpt2"),
      ("\"mlp_bias\" : false", "\"mlp_bias\" : true", "mlp_bias"),
    ] {
      #expect(text.contains(old))
      let changed = text.replacingOccurrences(of: old, with: new)
      let error = #expect(throws: (any Error).self) {
        try JSONFile.decode(ModelConfig.self, from: Array(changed.utf8), path: "config.json")
      }
      #expect(error.map { "\($0)" }?.contains(word) == true)
    }
  }

  /// Where `transformers` has written the angle since its version 5.
  @Test func readsRotaryParameters() throws {
    let text = String(decoding: try JSONFile.encode(Variant.all[0].config), as: UTF8.self)
    func read(_ value: String) throws -> ModelConfig {
      let changed = "{\"rope_parameters\": \(value)," + text.dropFirst()
      return try JSONFile.decode(ModelConfig.self, from: Array(changed.utf8), path: "config.json")
    }
    #expect(try read(#"{"rope_theta": 500.0, "rope_type": "default"}"#).rotaryTheta == 500)
    #expect(try read("null") == Variant.all[0].config)
    let error = #expect(throws: (any Error).self) {
      try read(#"{"rope_theta": 500.0, "rope_type": "llama3"}"#)
    }
    #expect(error.map { "\($0)" }?.contains("rope_type is \"llama3\"") == true)
  }

  @Test(arguments: ["num_attention_heads", "hidden_size", "vocab_size", "num_hidden_layers"])
  func nothingIsComputedWithImpossibleDimensions(key: String) throws {
    let text = String(decoding: try JSONFile.encode(Variant.all[0].config), as: UTF8.self)
    for value in ["0", "-1", "\(Int.max)"] {
      let changed = text.replacing(try Regex("\"\(key)\" : [0-9]+"), with: "\"\(key)\" : \(value)")
      #expect(changed != text)
      let error = #expect(throws: (any Error).self) {
        try JSONFile.decode(ModelConfig.self, from: Array(changed.utf8), path: "config.json")
      }
      #expect(error.map { "\($0)" }?.contains("\(key) is \(value)") == true)
    }
  }

  @Test func refusesMoreWeightsThanCanBeCounted() throws {
    var config = Variant.all[0].config
    config.width = 1 << 24
    config.heads = 1
    config.hidden = 1 << 24
    config.layers = 1 << 12
    let error = #expect(throws: ModelError.self) { try config.validate() }
    #expect(error?.description.contains("weights, expected at most 1099511627776") == true)
    // Every dimension is within its own bounds; 2⁴⁰ weights in all are just not exceeded.
    config = ModelConfig(vocabularySize: 1 << 23, width: 1 << 16, layers: 1, heads: 1, hidden: 1)
    config.tiedHead = true
    try config.validate()
    config.tiedHead = false
    #expect(throws: ModelError.self) { try config.validate() }
  }

  @Test func headsThatNoModelHasAreRefused() {
    for (change, reason) in [
      (
        {
          $0.heads = 1 << 24; $0.ownHeadWidth = 1 << 24
        }, "heads of 16777216"
      ),
      ({ $0.outputBias = true }, "output of the attention has a bias"),
      ({ $0.heads = 5 }, "--head-dim"),
    ] as [((inout ModelConfig) -> Void, String)] {
      var config = Variant.all[0].config
      change(&config)
      let error = #expect(throws: ModelError.self) { try config.validate() }
      #expect(error?.description.contains(reason) == true)
    }
  }

  @Test func refusesImpossibleModels() {
    var config = Variant.all[3].config
    config.attention = .hierarchical(blockSize: 5, query: .coarse)
    #expect(throws: ModelError.self) { try config.validate() }
    config = Variant.all[3].config
    config.relativeBiasLength = 10
    #expect(throws: ModelError.self) { try config.validate() }
    config = Variant.all[3].config
    config.position = .rotary
    #expect(throws: ModelError.self) { try config.validate() }
    config = Variant.all[0].config
    config.heads = 5
    #expect(throws: ModelError.self) { try config.validate() }
    config = Variant.all[0].config
    config.vocabularySize = 0
    #expect(throws: ModelError.self) { try config.validate() }
  }

  /// The counted pairs against the sets of the specification, token by token.
  @Test func hierarchicalPairsAreCountedExactly() {
    for blockSize in [2, 4, 6, 16] {
      for fine in [false, true] {
        var config = Variant.all[3].config
        config.attention = .hierarchical(blockSize: blockSize, query: fine ? .fine : .coarse)
        for length in [1, 2, 3, 7, 16, 33, 64, 100, 257] {
          var pairs = 0
          for i in 0..<length {
            let block = i / blockSize
            pairs += i + 1 - max(0, block - 1) * blockSize
            var level = 1
            while block >> level >= 1 {
              if fine || i % (1 << level) == 0 {
                pairs += (block >> (level - 1)) & 1 == 1 ? blockSize : blockSize / 2
              }
              level += 1
            }
          }
          #expect(
            config.mechanism.work(length: length)
              == AttentionWork(pairs: Double(pairs), width: config.width),
            "blocks of \(blockSize), length \(length), fine \(fine)")
        }
      }
    }
  }
}
