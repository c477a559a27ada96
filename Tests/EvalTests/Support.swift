import LMData
import Model
import Storage
import Tensor
import Testing
import TestSupport

/// Small models with random weights, large enough that their predictions differ.
enum SmallModel {
  struct Variant: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let attention: AttentionConfig
  }

  static let variants = [
    Variant(testDescription: "softmax", attention: .softmax),
    Variant(
      testDescription: "hierarchical coarse",
      attention: .hierarchical(blockSize: 4, query: .coarse)),
    Variant(
      testDescription: "hierarchical fine", attention: .hierarchical(blockSize: 4, query: .fine)),
    Variant(testDescription: "yoso sampled", attention: AttentionConfig(YosoOptions())),
    Variant(testDescription: "combiner fixed", attention: .combiner(.fixed, segment: 4)),
    Variant(
      testDescription: "combiner projected",
      attention: .combiner(.rowmajor, segment: 4, address: .proj)),
  ]

  static func config(_ attention: AttentionConfig = .softmax) -> ModelConfig {
    var config = ModelConfig(
      vocabularySize: TinyDataSet.vocabulary, width: 24, layers: 2, heads: 3, hidden: 40)
    config.use(attention)
    config.initialDeviation = 0.3
    config.maximumLength = 256
    return config
  }

  static func make(_ config: ModelConfig, seed: UInt64 = 7) throws -> Transformer {
    let parameters = try Parameters(config)
    try parameters.initialize(seed: seed)
    return try Transformer(config, parameters: parameters)
  }

  static func make(_ attention: AttentionConfig = .softmax) throws -> Transformer {
    try make(config(attention))
  }
}

/// Lines of the tiny alphabet with their ids, as a tokenizer would give them.
func textSentences(_ lengths: [Int], seed: UInt64 = 3) -> [(text: [UInt8], ids: [Int32])] {
  let sequences = TinySequences(
    lengths: lengths.map { $0 + 1 }, vocabulary: TinyDataSet.vocabulary, seed: seed)
  return lengths.indices.map { index in
    let ids = Array(sequences.sequence(index).targets.dropLast())
    return (TinyDataSet.tokenTable.decode(ids), ids)
  }
}
