import LMData
import Tokenize

/// A SentencePiece model as the metadata of a GGUF file.
struct GGUFTokenizer {
  private let model: SentencePieceModel
  private let rows: Int

  /// - Parameters:
  ///   - model: The tokenizer.
  ///   - rows: Of the embeddings; those beyond the tokenizer's tokens are out of use.
  init(_ model: SentencePieceModel, rows: Int) {
    self.model = model
    self.rows = rows
  }

  /// What a token is for, in the numbers of `sentencepiece_model.proto` and of llama.cpp.
  private static let userSymbol: Int32 = 4
  private static let unused: Int32 = 5

  var metadata: [(key: String, value: GGUFFile.Value)] {
    let ids = 0..<Int32(model.vocabularySize)
    let spare = 0..<max(0, rows - model.vocabularySize)
    let types = ids.map { model.typeNumber($0) }
    let texts = ids.map { id in
      // What stands in text as it is has spaces there.
      types[Int(id)] == Self.userSymbol ? model.textOfSymbol(id) : model.piece(id)
    }
    func id(_ number: Int32) -> GGUFFile.Value { .uint32(UInt32(number)) }
    return [
      // Names of llama.cpp: merges by score, and the most probable segmentation.
      (
        "tokenizer.ggml.model",
        .string(Array((model.modelType == .bpe ? "llama" : "t5").utf8))
      ),
      ("tokenizer.ggml.pre", .string(Array("default".utf8))),
      ("tokenizer.ggml.tokens", .strings(texts + spare.map { Array("[PAD\($0)]".utf8) })),
      (
        "tokenizer.ggml.scores",
        .floats(ids.map { model.score($0) } + spare.map { _ in -10_000 })
      ),
      ("tokenizer.ggml.token_type", .int32s(types + spare.map { _ in Self.unused })),
      ("tokenizer.ggml.bos_token_id", id(model.special.bos)),
      ("tokenizer.ggml.eos_token_id", id(model.special.eos)),
      ("tokenizer.ggml.unknown_token_id", id(model.special.unk)),
      ("tokenizer.ggml.add_bos_token", .bool(true)),
      ("tokenizer.ggml.add_eos_token", .bool(false)),
      ("tokenizer.ggml.add_space_prefix", .bool(true)),
      ("tokenizer.ggml.remove_extra_whitespaces", .bool(false)),
    ]
  }
}
