import Foundation
import Host
import Model
import Storage
import Tensor
import TestSupport
import Testing

/// Folders as other programs write them mean what they mean to transformers 5
/// (`scripts/peers/check-interop.sh` asks it).
@Suite struct ForeignLlamaTests {
  private static func parameters(_ config: ModelConfig, seed: UInt64 = 1) throws -> Parameters {
    let parameters = try Parameters(config)
    try parameters.initialize(seed: seed)
    return parameters
  }

  private typealias Tensor = (name: String, shape: [Int], values: [Float])

  private static func tensors(_ parameters: Parameters) -> [Tensor] {
    parameters.layout.slots.map { ($0.name, $0.shape, parameters.view($0).elements) }
  }

  /// A tied configuration in a folder with these tensors.
  private static func write(
    _ tensors: [Tensor], _ config: ModelConfig, to directory: String
  ) throws {
    try JSONFile.write(config, to: directory + "/" + ModelFiles.configName)
    let writer = try FileWriter(path: directory + "/" + ModelFiles.weightsName)
    try writer.append(
      SafetensorsHeader.encode(tensors.map { ($0.name, $0.shape) }, metadata: [:]))
    for tensor in tensors { try tensor.values.withUnsafeBytes { try writer.append($0) } }
    try writer.finish()
  }

  private static var tied: ModelConfig {
    var config = Variant.all[0].config
    config.tiedHead = true
    return config
  }

  /// Weights in several files are those of one, in whatever order; an index that is wrong is told.
  @Test func shardsAreReadByTheirIndex() throws {
    var config = Variant.all[0].config
    config.tiedHead = false
    let weights = Self.tensors(try Self.parameters(config))
    try withTemporaryDirectory { directory in
      try JSONFile.write(config, to: directory + "/" + ModelFiles.configName)
      var map: [String: String] = [:]
      for number in 0..<3 {
        let name = "model-0000\(number + 1)-of-00003.safetensors"
        let part = weights.enumerated().filter { $0.offset % 3 == number }.map(\.element).reversed()
        let writer = try FileWriter(path: directory + "/" + name)
        try writer.append(SafetensorsHeader.encode(part.map { ($0.name, $0.shape) }, metadata: [:]))
        for tensor in part {
          try tensor.values.withUnsafeBytes { try writer.append($0) }
          map[tensor.name] = name
        }
        try writer.finish()
      }
      func index(_ map: [String: String]) throws {
        try JSONFile.write(
          ["weight_map": map], to: directory + "/model.safetensors.index.json")
      }
      try index(map)
      #expect(try CheckpointFolder.resolve(directory, note: { _ in }) == directory)
      let read = try ModelFiles.open(directory: directory)
      #expect(read.config == config)
      #expect(read.parameters.all.elements == weights.flatMap(\.values))
      #expect(try ModelFiles.weightsDigest(directory: directory).count == 64)
      func refuses(_ change: (inout [String: String]) -> Void, saying text: String) throws {
        var other = map
        change(&other)
        try index(other)
        let error = #expect(throws: (any Error).self) { try ModelFiles.open(directory: directory) }
        #expect("\(error.map { "\($0)" } ?? "")".contains(text), "\(String(describing: error))")
      }
      try refuses(
        { $0["lm_head.weight"] = "model-00002-of-00003.safetensors" }, saying: "weight_map says")
      try refuses({ $0["lm_head.weight"] = nil }, saying: "weight_map says nothing")
      try refuses(
        { $0["x"] = "model-00001-of-00003.safetensors" }, saying: "tensor x is in no file")
      try refuses({ $0["x"] = "../x.safetensors" }, saying: "in the same folder")
      try refuses({ $0["x"] = "gone.safetensors" }, saying: "gone.safetensors")
      try refuses({ $0 = [:] }, saying: "weight_map is empty")
    }
  }

  @Test func aStoredHeadOfOtherValuesCounts() throws {
    let config = Self.tied
    let weights = Self.tensors(try Self.parameters(config))
    let table = weights[0]
    try withTemporaryDirectory { directory in
      // The same values: tied, as it says.
      try Self.write(
        weights + [("lm_head.weight", table.shape, table.values)], config, to: directory)
      var read = try ModelFiles.open(directory: directory)
      #expect(!read.hasOwnHead && read.config == config)
      #expect(read.parameters.head.elements == table.values)
      // One of them differs.
      var head = table.values
      head[head.count - 1] += 0.5
      try Self.write(weights + [("lm_head.weight", table.shape, head)], config, to: directory)
      read = try ModelFiles.open(directory: directory)
      #expect(read.hasOwnHead && !read.config.tiedHead)
      #expect(read.parameters.head.elements == head)
      #expect(read.parameters.embedding.elements == table.values)
      // Whoever insists on a tied model is not given the wrong one.
      #expect(throws: ModelError.self) {
        try ModelFiles.readWeights(config, directory: directory)
      }
      #expect(throws: ModelError.self) {
        try ModelFiles.readWeights(into: Parameters(config), config, directory: directory)
      }
    }
  }

  @Test func theHeadMayStandForTheEmbeddings() throws {
    let config = Self.tied
    var weights = Self.tensors(try Self.parameters(config))
    weights[0].name = "lm_head.weight"
    try withTemporaryDirectory { directory in
      try Self.write(weights, config, to: directory)
      let read = try ModelFiles.open(directory: directory)
      #expect(read.config.tiedHead && read.parameters.embedding.elements == weights[0].values)
    }
  }

  @Test func headsThatDoNotFitAreRefused() throws {
    let config = Self.tied
    let weights = Self.tensors(try Self.parameters(config))
    let rows = config.vocabularySize + 2
    let long = [Float](repeating: 1, count: rows * config.width)
    try withTemporaryDirectory { directory in
      try Self.write(
        weights + [("lm_head.weight", [rows, config.width], long)], config, to: directory)
      #expect(throws: ModelError.self) { try ModelFiles.open(directory: directory) }
      // An untied model without a head would get a random one elsewhere.
      var untied = config
      untied.tiedHead = false
      try Self.write(weights, untied, to: directory)
      #expect(throws: ModelError.self) { try ModelFiles.open(directory: directory) }
    }
  }

  @Test func onlyRotaryBuffersAreSkipped() throws {
    let config = Self.tied
    let weights = Self.tensors(try Self.parameters(config))
    func angles(_ name: String) -> Tensor { (name, [4], [1, 0.1, 0.01, 0.001]) }
    try withTemporaryDirectory { directory in
      try Self.write(
        weights + [
          angles("model.layers.0.self_attn.rotary_emb.inv_freq"),
          angles("model.rotary_emb.inv_freq"),
        ], config, to: directory)
      let read = try ModelFiles.open(directory: directory)
      #expect(read.parameters.all.elements == weights.flatMap(\.values))
      for name in ["model.layers.0.self_attn.q_proj.bias", "model.layers.9.rotary_emb.cos"] {
        try Self.write(weights + [angles(name)], config, to: directory)
        #expect(throws: ModelError.self) { try ModelFiles.open(directory: directory) }
      }
    }
  }

  // MARK: config.json

  /// The configuration with keys put in front of its own, or in their place.
  private static func read(_ keys: [String: Any], without: [String] = []) throws -> ModelConfig {
    let bytes = try JSONFile.encode(tied)
    var object =
      try #require(try JSONSerialization.jsonObject(with: Data(bytes)) as? [String: Any])
    for key in without { object[key] = nil }
    object.merge(keys) { $1 }
    let changed = try JSONSerialization.data(withJSONObject: object)
    return try JSONFile.decode(ModelConfig.self, from: Array(changed), path: "config.json")
  }

  @Test func keysOfOthersMeanTheSame() throws {
    let equal: [[String: Any]] = [
      ["rope_scaling": NSNull()], ["rope_scaling": [String: Any]()],
      ["rope_scaling": ["rope_type": "default"]], ["rope_scaling": ["type": "default"]],
      ["rope_parameters": ["rope_type": "default"]], ["hidden_act": "swish"],
      ["head_dim": Self.tied.width / Self.tied.heads], ["head_dim": NSNull()],
      ["attention_bias": false],
      ["mlp_bias": false], ["num_key_value_heads": Self.tied.heads],
      ["num_key_value_heads": NSNull()], ["dtype": "bfloat16"], ["torch_dtype": "float16"],
      ["pretraining_tp": 2], ["use_cache": false], ["eos_token_id": [2]], ["eos_token_id": 2],
    ]
    for keys in equal { #expect(try Self.read(keys) == Self.tied, "\(keys)") }
  }

  @Test func theInnermostAngleCounts() throws {
    let inner: [String: Any] = ["rope_theta": 500.0, "rope_type": "default"]
    #expect(try Self.read(["rope_theta": 77.0]).rotaryTheta == 77)
    #expect(try Self.read(["rope_theta": 77.0, "rope_parameters": inner]).rotaryTheta == 500)
    #expect(
      try Self.read(["rope_parameters": inner], without: ["rope_theta"]).rotaryTheta == 500)
    #expect(
      try Self.read([
        "rope_scaling": ["type": "default", "rope_theta": 9.0], "rope_parameters": inner,
      ])
      .rotaryTheta == 9)
    #expect(
      try Self.read(["rope_scaling": NSNull(), "rope_parameters": inner]).rotaryTheta == 500)
    #expect(try Self.read([:], without: ["rope_theta"]).rotaryTheta == 10_000)
  }

  @Test func severalTokensMayCloseAText() throws {
    let config = try Self.read(["eos_token_id": [5, 2, 7]])
    #expect(config.eosID == 5 && config.otherEndIDs == [2, 7])
    let again = try JSONFile.decode(
      ModelConfig.self, from: JSONFile.encode(config), path: "config.json")
    #expect(again == config)
    for ids in [[], [2, config.vocabularySize], [-1]] as [[Int]] {
      #expect(throws: (any Error).self) { try Self.read(["eos_token_id": ids]) }
    }
  }

  /// Keys and what stands for one that is missing, as the configurations of transformers 5 have them.
  @Test func headsAndBiasesOfOthers() throws {
    func expect(
      _ keys: [String: Any], without: [String] = [], _ change: (inout ModelConfig) -> Void,
      sourceLocation: SourceLocation = #_sourceLocation
    ) throws {
      var expected = Self.tied
      change(&expected)
      let found = try Self.read(keys, without: without)
      #expect(found == expected, sourceLocation: sourceLocation)
    }
    try expect(["num_key_value_heads": 1]) { $0.fewerKeyValueHeads = 1 }
    try expect(["head_dim": 2]) { $0.ownHeadWidth = 2 }
    try expect(["attention_bias": true]) { ($0.qkvBias, $0.outputBias) = (true, true) }
    for said: [String: Any] in [[:], ["attention_bias": true], ["attention_bias": false]] {
      try expect(said.merging(["model_type": "qwen2"]) { $1 }) { $0.qkvBias = true }
    }
    try expect(["model_type": "qwen2", "layer_types": ["full_attention"]]) { $0.qkvBias = true }
    try expect(["model_type": "qwen3", "attention_bias": true]) {
      ($0.qkNorm, $0.qkvBias, $0.outputBias) = (true, true, true)
    }
    try expect(["model_type": "qwen3"], without: ["head_dim"]) {
      ($0.qkNorm, $0.ownHeadWidth) = (true, 128)
    }
    try expect(
      ["model_type": "qwen2", "num_attention_heads": 64, "hidden_size": 128],
      without: ["num_key_value_heads", "head_dim", "max_position_embeddings"]
    ) {
      ($0.heads, $0.width, $0.fewerKeyValueHeads) = (64, 128, 32)
      ($0.qkvBias, $0.maximumLength) = (true, 32_768)
    }
  }

  @Test func whatIsNotSupportedIsRefusedForItsReason() throws {
    let refused: [(keys: [String: Any], reason: String)] = [
      (["rope_scaling": ["type": "linear", "factor": 2.0]], "\"linear\""),
      (["rope_scaling": ["rope_type": "llama3", "factor": 8.0]], "\"llama3\""),
      (["rope_parameters": ["rope_type": "yarn", "factor": 8.0]], "\"yarn\""),
      (["partial_rotary_factor": 0.5], "partial_rotary_factor is 0.5"),
      (["rope_parameters": ["partial_rotary_factor": 0.5]], "partial_rotary_factor is 0.5"),
      (["hidden_act": "gelu"], "hidden_act is \"gelu\""), (["mlp_bias": true], "mlp_bias"),
      (["use_sliding_window": true], "use_sliding_window"),
      (["layer_types": ["full_attention", "sliding_attention"]], "\"sliding_attention\""),
      (["model_type": "mistral"], "model_type is \"mistral\""),
    ]
    for (keys, reason) in refused {
      let error = #expect(throws: (any Error).self, "\(keys)") { try Self.read(keys) }
      #expect(error.map { "\($0)" }?.contains(reason) == true, "\(keys)")
    }
  }
}
