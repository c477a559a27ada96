import LMData

extension HuggingFaceTokenizer {
  /// `tokenizer.json` of a model of whole words: white space separates them, and a word outside the list
  /// is `<UNK>`.
  static func wordLevelTokenizer(_ model: SentencePieceModel) -> [UInt8] {
    func name(_ id: Int32) -> [UInt8] {
      if id == model.special.unk { return Words.unknown }
      return model.kind(id) == .text
        ? Array(model.piece(id).dropFirst(WordMarker.bytes.count)) : model.piece(id)
    }
    let (bos, eos) = (quoted(name(model.special.bos)), quoted(name(model.special.eos)))
    let added = [(model.special.bos, bos), (model.special.eos, eos)].map { id, name in
      """
      {"id": \(id), "content": \(name), "single_word": false, "lstrip": false, "rstrip": false, \
      "normalized": false, "special": true}
      """
    }.joined(separator: ",\n    ")
    func begun(_ sequence: String, _ type: Int) -> String {
      """
      {"SpecialToken": {"id": \(bos), "type_id": \(type)}}, \
      {"Sequence": {"id": "\(sequence)", "type_id": \(type)}}
      """
    }
    // A list may have hundreds of thousands of words: bytes, not one string that grows.
    var json = Array(
      """
      {
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": [
          \(added)
        ],
        "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"},
        "post_processor": {"type": "TemplateProcessing",
          "single": [\(begun("A", 0))],
          "pair": [\(begun("A", 0)), \(begun("B", 1))],
          "special_tokens": {
            \(bos): {"id": \(bos), "ids": [\(model.special.bos)], "tokens": [\(bos)]}
          }
        },
        "decoder": null,
        "model": {"type": "WordLevel", "unk_token": \(quoted(Words.unknown)), "vocab": {

      """.utf8)
    for id in 0..<Int32(model.vocabularySize) {
      json += Array("\(quoted(name(id))): \(id)\(id + 1 < model.vocabularySize ? "," : "")\n".utf8)
    }
    return json + Array("}}\n}".utf8)
  }
}
