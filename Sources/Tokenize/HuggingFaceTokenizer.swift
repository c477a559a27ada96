import LMData

/// The tokenizer in the files that Hugging Face's `transformers` opens with `AutoTokenizer`.
///
/// Its ids are those of the SentencePiece model, `<s>` in front. Three texts differ: one with the
/// character `▁` (taken for a space there), one that spells a marker or a byte piece such as `<s>`
/// inside a longer piece, and, with unigram pieces, one whose best segmentations are equally probable
/// to the last digit of a float.
package enum HuggingFaceTokenizer {
  package static let tokenizerName = "tokenizer.json"
  package static let configName = "tokenizer_config.json"

  /// The files by name; none if the model has pieces that they cannot express: user-defined symbols
  /// or pieces out of use.
  package static func files(of model: SentencePieceModel) -> [String: [UInt8]] {
    let ids = 0..<Int32(model.vocabularySize)
    let bytes = Set(model.byteIDs)
    let markers = ids.filter { !model.isText($0) && !bytes.contains($0) }
    guard !model.hasUserSymbols,
      markers.allSatisfy({ [model.special.bos, model.special.eos, model.special.unk].contains($0) })
    else { return [:] }
    return [
      tokenizerName: Array(tokenizer(model, markers: markers).utf8) + [0x0A],
      configName: Array(config(model).utf8) + [0x0A],
    ]
  }

  private static func name(_ model: SentencePieceModel, _ id: Int32) -> String {
    quoted(model.piece(id))
  }

  private static func config(_ model: SentencePieceModel) -> String {
    """
    {
      "tokenizer_class": "PreTrainedTokenizerFast",
      "bos_token": \(name(model, model.special.bos)),
      "eos_token": \(name(model, model.special.eos)),
      "unk_token": \(name(model, model.special.unk)),
      "add_bos_token": true,
      "add_eos_token": false,
      "clean_up_tokenization_spaces": false,
      "split_special_tokens": true
    }
    """
  }

  private static func tokenizer(_ model: SentencePieceModel, markers: [Int32]) -> String {
    let added = markers.map { id in
      """
      {"id": \(id), "content": \(name(model, id)), "single_word": false, "lstrip": false, \
      "rstrip": false, "normalized": false, "special": true}
      """
    }.joined(separator: ",\n    ")
    let bos = name(model, model.special.bos)
    func begun(_ sequence: String, _ type: Int) -> String {
      """
      {"SpecialToken": {"id": \(bos), "type_id": \(type)}}, \
      {"Sequence": {"id": "\(sequence)", "type_id": \(type)}}
      """
    }
    return """
      {
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [
          \(added)
        ],
        "normalizer": {"type": "Sequence", "normalizers": [
          {"type": "Prepend", "prepend": "▁"},
          {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
        ]},
        "pre_tokenizer": \(preTokenizer(model)),
        "post_processor": {"type": "TemplateProcessing",
          "single": [\(begun("A", 0))],
          "pair": [\(begun("A", 0)), \(begun("B", 1))],
          "special_tokens": {
            \(bos): {"id": \(bos), "ids": [\(model.special.bos)], "tokens": [\(bos)]}
          }
        },
        "decoder": {"type": "Sequence", "decoders": [
          {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
          {"type": "ByteFallback"},
          {"type": "Fuse"},
          {"type": "Strip", "content": " ", "start": 1, "stop": 0}
        ]},
        "model": \(model.modelType == .bpe ? mergeModel(model) : unigramModel(model))
      }
      """
  }

  /// Their unigram model finds markers and byte pieces in the text where it spells them; a cut behind
  /// the bracket hides them.
  private static func preTokenizer(_ model: SentencePieceModel) -> String {
    guard model.modelType == .unigram else { return "null" }
    return """
      {"type": "Split", "pattern": {"Regex": "<(?=s>|/s>|unk>|0x[0-9A-F]{2}>)"}, \
      "behavior": "MergedWithPrevious", "invert": false}
      """
  }

  private static func unigramModel(_ model: SentencePieceModel) -> String {
    let pieces = (0..<Int32(model.vocabularySize)).map { id in
      "[\(name(model, id)), \(Double(model.score(id)))]"
    }
    return """
      {"type": "Unigram", "unk_id": \(model.special.unk), "byte_fallback": true, "vocab": [
      \(pieces.joined(separator: ",\n"))
      ]}
      """
  }

  private static func mergeModel(_ model: SentencePieceModel) -> String {
    let pieces = (0..<Int32(model.vocabularySize)).map { id in "\(name(model, id)): \(id)" }
    let merges = merges(model).map { "[\(name(model, $0.left)), \(name(model, $0.right))]" }
    return """
      {"type": "BPE", "dropout": null, "unk_token": \(name(model, model.special.unk)), \
      "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": true, \
      "byte_fallback": true, "ignore_merges": false, "vocab": {
      \(pieces.joined(separator: ",\n"))
      }, "merges": [
      \(merges.joined(separator: ",\n"))
      ]}
      """
  }

  /// Every pair of pieces that makes a piece, the first to be merged first: SentencePiece merges
  /// the pair whose whole has the highest score.
  private static func merges(_ model: SentencePieceModel) -> [(left: Int32, right: Int32)] {
    let ids = (0..<Int32(model.vocabularySize)).filter(model.isText)
    let idByPiece = Dictionary(
      ids.map { (model.piece($0)[...], $0) }, uniquingKeysWith: { first, _ in first })
    let byScore = ids.sorted { (-model.score($0), $0) < (-model.score($1), $1) }
    var merges: [(left: Int32, right: Int32)] = []
    for id in byScore {
      let whole = model.piece(id)
      var pairs: [(left: Int32, right: Int32)] = []
      for cut in whole.indices.dropFirst() {
        guard let left = idByPiece[whole[..<cut]], let right = idByPiece[whole[cut...]] else {
          continue
        }
        pairs.append((left, right))
      }
      merges += pairs.sorted { $0 < $1 }
    }
    return merges
  }

  /// A piece as JSON; pieces are UTF-8.
  private static func quoted(_ piece: [UInt8]) -> String {
    var text = "\""
    for scalar in String(decoding: piece, as: UTF8.self).unicodeScalars {
      switch scalar {
      case "\"": text += "\\\""
      case "\\": text += "\\\\"
      case "\u{0}"..<" ":
        let digits = String(scalar.value, radix: 16)
        text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: text.unicodeScalars.append(scalar)
      }
    }
    return text + "\""
  }
}
