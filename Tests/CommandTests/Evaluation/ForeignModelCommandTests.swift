import Foundation
import TestSupport
import Testing

/// Heads that share keys, heads of another width and biases, by the programs that a user runs; and a model
/// from elsewhere that has them.
@Suite(.serialized) struct ForeignModelCommandTests {
  private static let shape = [
    "--layers", "1", "--width", "16", "--heads", "4", "--hidden", "24", "--threads", "1",
    "--batch-tokens", "100", "--warmup", "1", "--lr", "0.01",
  ]

  private static func succeed(_ name: String, _ arguments: [String]) throws -> ProgramOutcome {
    let outcome = try runProgram(name, arguments)
    try #require(outcome.status == 0, "\(name) \(arguments): \(outcome.errors)")
    return outcome
  }

  private static func data(_ folder: TemporaryFolder) throws -> String {
    let nouns = ["ash", "oak", "elm", "fir", "yew"]
    let lines = (0..<300).map { "the \(nouns[$0 % 5]) is near the \(nouns[$0 * 3 % 5]) ." }
    let text = try folder.write(lines.joined(separator: "\n") + "\n", to: "text.txt")
    let data = folder.path + "/data"
    _ = try succeed(
      "lm-tokenize",
      [
        "--train", text, "--model-type", "bpe", "--vocab-size", "285", "--output", data,
        "--split-valid", "0.1", "--split-test", "0.1",
      ])
    return data
  }

  private static func object(_ path: String) throws -> [String: Any] {
    try #require(
      JSONSerialization.jsonObject(with: Data(contentsOf: URL(fileURLWithPath: path)))
        as? [String: Any])
  }

  /// A checkpoint as `save_pretrained` writes it: their keys alone, the weights in two files.
  private static func shards(of checkpoint: String, to directory: String) throws {
    try FileManager.default.createDirectory(
      atPath: directory, withIntermediateDirectories: true)
    try FileManager.default.copyItem(
      atPath: checkpoint + "/tokenizer.model", toPath: directory + "/tokenizer.model")
    var config = try object(checkpoint + "/config.json")
    for key in ["attention", "position", "relative_bias_length", "qkv_bias", "attention_bias"] {
      config[key] = nil
    }
    try JSONSerialization.data(withJSONObject: config)
      .write(to: URL(fileURLWithPath: directory + "/config.json"))
    let file = try Data(contentsOf: URL(fileURLWithPath: checkpoint + "/model.safetensors"))
    let count = file.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    let header = try #require(
      JSONSerialization.jsonObject(with: file[8..<8 + count]) as? [String: Any])
    var map: [String: String] = [:]
    for half in 0..<2 {
      let name = "model-0000\(half + 1)-of-00002.safetensors"
      var (own, bytes): ([String: Any], Data) = ([:], Data())
      for (index, key) in header.keys.sorted().filter({ $0 != "__metadata__" }).enumerated()
      where index % 2 == half {
        var entry = try #require(header[key] as? [String: Any])
        let range = try #require(entry["data_offsets"] as? [Int])
        entry["data_offsets"] = [bytes.count, bytes.count + range[1] - range[0]]
        bytes += file[8 + count + range[0]..<8 + count + range[1]]
        own[key] = entry
        map[key] = name
      }
      let text = try JSONSerialization.data(withJSONObject: own)
      let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Data($0) }
      try (length + text + bytes).write(to: URL(fileURLWithPath: directory + "/" + name))
    }
    try JSONSerialization.data(withJSONObject: ["weight_map": map])
      .write(to: URL(fileURLWithPath: directory + "/model.safetensors.index.json"))
  }

  @Test(
    arguments: [
      ("LlamaForCausalLM", "llama", ["--kv-heads", "2"]),
      ("Qwen2ForCausalLM", "qwen2", ["--kv-heads", "1", "--qkv-bias"]),
      ("Qwen3ForCausalLM", "qwen3", ["--kv-heads", "2", "--head-dim", "6", "--qk-norm"]),
    ])
  func aModelFromElsewhereGoesOn(name: String, kind: String, options: [String]) throws {
    let folder = try TemporaryFolder()
    let data = try Self.data(folder)
    let run = folder.path + "/run"
    _ = try Self.succeed(
      "lm-train", ["--data", data, "--output", run, "--steps", "8"] + Self.shape + options)
    let checkpoint = run + "/step-00000008"
    let config = try Self.object(checkpoint + "/config.json")
    #expect(config["architectures"] as? [String] == [name])
    #expect(config["model_type"] as? String == kind)
    #expect(config["num_key_value_heads"] as? Int == Int(options[1]))
    #expect(config["head_dim"] as? Int == (options.contains("--head-dim") ? 6 : 4))
    let foreign = folder.path + "/foreign"
    try Self.shards(of: checkpoint, to: foreign)

    // Here and there the same figures and text.
    func figures(_ path: String) throws -> String {
      let line = try Self.succeed(
        "lm-eval",
        ["perplexity", "--checkpoint", path, "--data", data, "--split", "test", "--json"])
      let object = try #require(
        JSONSerialization.jsonObject(with: Data(line.output.utf8)) as? [String: Any])
      return "\(try #require(object["nats"])) \(try #require(object["tokens"]))"
    }
    #expect(try figures(foreign) == figures(checkpoint))
    let sample = ["--max-tokens", "8", "--temperature", "0", "--prompt", "the", "--checkpoint"]
    #expect(
      try Self.succeed("lm-sample", sample + [foreign]).output
        == Self.succeed("lm-sample", sample + [checkpoint]).output)
    _ = try Self.succeed(
      "lm-eval",
      ["audit", "--checkpoint", foreign, "--text", folder.path + "/text.txt", "--sentences", "4"])

    let tuned = folder.path + "/tuned"
    let begin = [
      "--data", data, "--init-from", foreign, "--threads", "1", "--batch-tokens", "100", "--warmup",
      "1", "--steps", "6", "--output",
    ]
    let plan = try Self.succeed("lm-train", begin + [tuned, "--dry-run"]).output
    #expect(
      plan.contains("that share \(try #require(config["num_key_value_heads"])) of keys and values"),
      "\(plan)")
    _ = try Self.succeed("lm-train", begin + [tuned])
    let model = try #require(try Self.object(tuned + "/config.json")["model"] as? [String: Any])
    for key in ["num_key_value_heads", "head_dim", "qk_norm", "qkv_bias"] {
      #expect("\(model[key] ?? "none")" == "\(config[key] ?? "none")", "\(key)")
    }
    #expect(
      try Self.object(tuned + "/step-00000006/config.json")["model_type"] as? String == kind)
    for (option, found, asked) in [
      ("--kv-heads", options[1], "4"),
      ("--head-dim", options.contains("--head-dim") ? "6" : "4", "8"),
    ] {
      let refused = try runProgram("lm-train", begin + [folder.path + "/x", option, asked])
      #expect(
        refused.status == 1
          && refused.errors.contains("has \(option) \(found), not \(option) \(asked)"),
        "\(refused.errors)")
    }

    // What other programs open.
    for format in ["bf16", "fp16"] {
      let out = folder.path + "/" + format
      _ = try Self.succeed(
        "lm-eval", ["export", format, "--checkpoint", foreign, "--output", out])
      _ = try figures(out)
    }
    let file = folder.path + "/model.gguf"
    _ = try Self.succeed(
      "lm-eval", ["export", "gguf", "--checkpoint", foreign, "--output", file])
    let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    #expect(bytes.range(of: Data("\(kind).attention.head_count_kv".utf8)) != nil)
    #expect((bytes.range(of: Data("blk.0.attn_v.bias".utf8)) != nil) == (kind == "qwen2"))
  }

  @Test func impossibleHeadsAreOneSentence() throws {
    let folder = try TemporaryFolder()
    let data = try Self.data(folder)
    for (options, words) in [
      (
        ["--kv-heads", "3"], "num_key_value_heads is 3, expected a divisor of the 4 attention heads"
      ),
      (["--kv-heads", "0"], "num_key_value_heads is 0"),
      (["--head-dim", "5"], "even head width, found 5"),
      (["--heads", "5"], "--head-dim"),
    ] {
      let refused = try runProgram(
        "lm-train",
        ["--data", data, "--output", folder.path + "/x", "--steps", "1"] + Self.shape + options)
      #expect(refused.status == 1 && refused.errors.contains(words), "\(refused)")
      #expect(refused.errors.split(separator: "\n").count == 1, "\(refused.errors)")
    }
    // Both recipes at once are a model of our own, which llama.cpp has not.
    let run = folder.path + "/own"
    _ = try Self.succeed(
      "lm-train",
      ["--data", data, "--output", run, "--steps", "1", "--qk-norm", "--qkv-bias"] + Self.shape)
    #expect(FileManager.default.fileExists(atPath: run + "/step-00000001/decoder.py"))
    let refused = try runProgram(
      "lm-eval", ["export", "gguf", "--checkpoint", run, "--output", folder.path + "/own.gguf"])
    #expect(
      refused.status == 1 && refused.errors.contains("normalised queries and keys with biases"),
      "\(refused)")
  }

  /// As the package tokenizers writes it, shortened.
  private static let byteLevel = #"""
    {"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
     "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
       {"type": "Split", "pattern": {"Regex": "\\p{L}+"}, "behavior": "Isolated", "invert": false},
       {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]},
     "post_processor": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false,
       "use_regex": true},
     "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
     "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": "",
       "end_of_word_suffix": "", "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
       "vocab": {"a": 0, "b": 1, "ab": 2}, "merges": [["a", "b"]]}}
    """#

  @Test func aByteLevelTokenizerIsRefusedWithAWayRound() throws {
    let folder = try TemporaryFolder()
    let data = try Self.data(folder)
    let run = folder.path + "/run"
    _ = try Self.succeed(
      "lm-train", ["--data", data, "--output", run, "--steps", "1"] + Self.shape)
    let foreign = folder.path + "/foreign"
    try Self.shards(of: run + "/step-00000001", to: foreign)
    try FileManager.default.removeItem(atPath: foreign + "/tokenizer.model")
    try Self.byteLevel.write(
      toFile: foreign + "/tokenizer.json", atomically: true, encoding: .utf8)
    for (program, arguments) in [
      ("lm-eval", ["perplexity", "--text", folder.path + "/text.txt", "--checkpoint"]),
      ("lm-sample", ["--checkpoint"]),
      ("lm-train", ["--data", data, "--output", folder.path + "/x", "--init-from"]),
    ] {
      let refused = try runProgram(program, arguments + [foreign])
      #expect(refused.status == 1, "\(refused)")
      for words in [
        foreign + "/tokenizer.json", "byte-level BPE", "lm-evaluation-harness",
        "resize_token_embeddings",
      ] {
        #expect(refused.errors.contains(words), "\(program): \(refused.errors)")
      }
      #expect(refused.errors.split(separator: "\n").count == 1, "\(refused.errors)")
    }
  }
}
