import LMData

/// The tokenizer in the files that Hugging Face's `transformers` opens with `AutoTokenizer`.
///
/// Its ids are those of the SentencePiece model, `<s>` in front. Three texts differ: one with the
/// character `▁` (a space there, as in the `sentencepiece` package), with unigram pieces one that
/// spells a marker or a byte piece such as `<s>` where text pieces hold each pair of its characters,
/// and, with unigram pieces, one whose best segmentations are equally probable to the last digit of a
/// float.
package enum HuggingFaceTokenizer {
  package static let tokenizerName = "tokenizer.json"
  package static let configName = "tokenizer_config.json"

  /// The files by name.
  ///
  /// Of a model that they cannot express (``obstacle(_:)``) they are such that `AutoTokenizer` refuses
  /// the folder and says why: left alone, it would take `tokenizer.model` for another tokenizer.
  ///
  /// - Parameters:
  ///   - model: The tokenizer.
  ///   - pythonClass: What `AutoTokenizer` opens them with, as `file.Class` of a file beside them; nil for
  ///     `PreTrainedTokenizerFast`.
  package static func files(
    of model: SentencePieceModel, pythonClass: String? = nil
  ) -> [String: [UInt8]] {
    let map = pythonClass.map { "\n  \"auto_map\": {\"AutoTokenizer\": [null, \"\($0)\"]}," } ?? ""
    if model.modelType == .word {
      return [
        tokenizerName: wordLevelTokenizer(model) + [0x0A],
        configName: Array(config(model, map: map, unknown: quoted(Words.unknown)).utf8) + [0x0A],
      ]
    }
    if obstacle(model) != nil {
      let advice =
        "AutoTokenizer cannot open this tokenizer: open tokenizer.model with sentencepiece"
      return [
        tokenizerName: Array("{\"version\": \"\(advice)\", \"added_tokens\": []}\n".utf8),
        configName: Array("{\(map)\"tokenizer_class\": \"PreTrainedTokenizerFast\"}\n".utf8),
      ]
    }
    return [
      tokenizerName: Array(tokenizer(model).utf8) + [0x0A],
      configName: Array(config(model, map: map).utf8) + [0x0A],
    ]
  }

  /// What keeps the files from having the ids of the model, or nil.
  package static func obstacle(_ model: SentencePieceModel) -> String? {
    if model.modelType == .word { return nil }
    if model.hasUnusedPieces { return "it has pieces out of use" }
    let symbols = model.ids { $0 == .userSymbol }
    var names: Set<[UInt8]> = []
    for id in 0..<Int32(model.vocabularySize) where !names.insert(tokenName(model, id)).inserted {
      return "two of its pieces are both \(text(model, id)) there"
    }
    for id in model.ids({ $0 == .control || $0 == .unknown || $0 == .byte }) + symbols
    where String(decoding: tokenName(model, id), as: UTF8.self).unicodeScalars.count < 2 {
      return "its piece \(text(model, id)) is a single character that is kept from the text"
    }
    for id in symbols {
      // Added tokens are looked for in text with a ▁ in front of every line, which is put before their
      // own text, too.
      guard isWord(model, id) else {
        return "its user-defined symbol \(text(model, id)) does not begin with a space"
      }
      if model.modelType == .unigram, !SymbolCheck(model).isAlwaysKept(id) {
        return "its user-defined symbol \(text(model, id)) is not always kept whole"
      }
    }
    return nil
  }

  /// Whether a piece is a `▁` and more.
  private static func isWord(_ model: SentencePieceModel, _ id: Int32) -> Bool {
    let marker = WordMarker.bytes
    return model.piece(id).starts(with: marker) && model.piece(id).count > marker.count
  }

  /// What a piece is called there: a user-defined symbol as it stands in text, behind its space.
  static func tokenName(_ model: SentencePieceModel, _ id: Int32) -> [UInt8] {
    guard model.kind(id) == .userSymbol, isWord(model, id) else { return model.piece(id) }
    let rest = String(decoding: model.piece(id).dropFirst(WordMarker.bytes.count), as: UTF8.self)
    return Array(rest.replacing("▁", with: " ").utf8)
  }

  private static func text(_ model: SentencePieceModel, _ id: Int32) -> String {
    String(decoding: model.piece(id), as: UTF8.self)
  }

  private static func name(_ model: SentencePieceModel, _ id: Int32) -> String {
    quoted(tokenName(model, id))
  }

  private static func config(_ model: SentencePieceModel, map: String, unknown: String? = nil)
    -> String
  {
    """
    {\(map)
      "tokenizer_class": "PreTrainedTokenizerFast",
      "bos_token": \(name(model, model.special.bos)),
      "eos_token": \(name(model, model.special.eos)),
      "unk_token": \(unknown ?? name(model, model.special.unk)),\(padding(model))
      "add_bos_token": true,
      "add_eos_token": false,
      "clean_up_tokenization_spaces": false,
      "split_special_tokens": true
    }
    """
  }

  /// The line that names the piece for padding, by its usual name.
  private static func padding(_ model: SentencePieceModel) -> String {
    let pad = model.ids { $0 == .control }.first { model.piece($0) == Array("<pad>".utf8) }
    return pad.map { "\n  \"pad_token\": \(name(model, $0))," } ?? ""
  }

  private static func tokenizer(_ model: SentencePieceModel) -> String {
    let symbols = model.ids { $0 == .userSymbol }
    let tokens = model.ids { $0 == .control || $0 == .unknown || $0 == .userSymbol }
    let added = tokens.map { id in
      let isSymbol = model.kind(id) == .userSymbol
      // A symbol is looked for once spaces are ▁ and one stands in front of it.
      return """
        {"id": \(id), "content": \(name(model, id)), "single_word": false, "lstrip": false, \
        "rstrip": false, "normalized": \(isSymbol), "special": \(!isSymbol)}
        """
    }.joined(separator: ",\n    ")
    let spelled = symbols.map { id in
      """
      {"type": "Replace", "pattern": {"Regex": \(quoted("\\A" + HiddenNames.escaped(tokenName(model, id)) + "\\z"))}, \
      "content": \(quoted(model.piece(id)))},

      """
    }.joined().replacing("\n", with: "\n    ")
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
          \(spelled){"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
          {"type": "ByteFallback"},
          {"type": "Fuse"},
          {"type": "Strip", "content": " ", "start": 1, "stop": 0}
        ]},
        "model": \(model.modelType == .bpe ? mergeModel(model) : unigramModel(model))
      }
      """
  }

  /// Their unigram model finds markers and byte pieces in the text where it spells them; a cut inside
  /// hides them.
  private static func preTokenizer(_ model: SentencePieceModel) -> String {
    guard model.modelType == .unigram else { return "null" }
    return """
      {"type": "Split", "pattern": {"Regex": \(quoted(HiddenNames.pattern(model)))}, \
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
    let ids = model.ids { $0 == .text }
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
  static func quoted(_ piece: [UInt8]) -> String {
    quoted(String(decoding: piece, as: UTF8.self))
  }

  private static func quoted(_ string: String) -> String {
    var text = "\""
    for scalar in string.unicodeScalars {
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
